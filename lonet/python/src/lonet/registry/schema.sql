-- What a network's registry holds. hosts and meta are shared with the originals, to the letter;
-- what begins with lonet_ is ours alone, and they ignore it.

CREATE TABLE IF NOT EXISTS hosts (hostname TEXT PRIMARY KEY, osladdr TEXT);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT);

-- Every name that was ever announced, to tell "closed" from "never there".
CREATE TABLE IF NOT EXISTS lonet_names (hostname TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT OR IGNORE INTO lonet_names SELECT hostname FROM hosts WHERE hostname IS NOT NULL;

-- A trigger, so that names which an original announces are remembered too. No OR IGNORE in it: the
-- conflict clause of the statement that fires a trigger overrides those inside.
CREATE TRIGGER IF NOT EXISTS lonet_remember_name AFTER INSERT ON hosts
WHEN new.hostname IS NOT NULL
BEGIN
    INSERT INTO lonet_names SELECT new.hostname
    WHERE NOT EXISTS (SELECT 1 FROM lonet_names WHERE hostname = new.hostname);
END;
