//! What names and addresses mean inside a carried program.
//!
//! Owns which address stands for which host, and the files in which a program finds them. Every host
//! has an address of 198.18.0.0/15, which is set aside for tests: nothing of the machine's has one.
//! Which hosts there are is said from outside.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::MemfdFlags;

/// The first address of the block.
const BLOCK: u32 = u32::from_be_bytes([198, 18, 0, 0]);

/// Which addresses stand for which hosts, for all carried programs of a scenario.
pub(super) struct Names {
    table: RefCell<Table>,
    /// The addresses of the machine, each of which is the program's own host.
    machine: Vec<IpAddr>,
    /// The machine's name, likewise.
    machine_name: String,
}

#[derive(Default)]
struct Table {
    by_name: BTreeMap<String, Ipv4Addr>,
    by_address: BTreeMap<Ipv4Addr, String>,
}

/// What an address means to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Its own host, by an address of loopback.
    Loopback,
    /// Its own host, by any other address.
    Own,
    /// Another host.
    Host(String),
    /// Nothing on the network.
    Nowhere,
}

/// A file that a program reads names from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamesFile {
    Hosts,
    Switch,
    Resolver,
}

impl NamesFile {
    /// The file at this path, if it is one of them.
    pub(super) fn at(path: &[u8]) -> Option<NamesFile> {
        match path {
            b"/etc/hosts" => Some(NamesFile::Hosts),
            b"/etc/nsswitch.conf" => Some(NamesFile::Switch),
            b"/etc/resolv.conf" => Some(NamesFile::Resolver),
            _ => None,
        }
    }
}

/// The sockets by which a program would ask another one for names.
pub(super) fn is_of_name_service(path: &[u8]) -> bool {
    matches!(path, b"/var/run/nscd/socket" | b"/run/nscd/socket")
}

impl Names {
    pub(super) fn new() -> Names {
        let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
        let addresses = interfaces.filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        });
        let name = nix::unistd::gethostname().ok();
        Names {
            table: RefCell::default(),
            machine: addresses.collect(),
            machine_name: name
                .and_then(|name| name.into_string().ok())
                .unwrap_or_default(),
        }
    }

    /// The address that stands for that host.
    pub(super) fn address(&self, host: &str) -> Ipv4Addr {
        let mut table = self.table.borrow_mut();
        if let Some(&known) = table.by_name.get(host) {
            return known;
        }
        let nth = u32::try_from(table.by_name.len()).unwrap_or(u32::MAX >> 1);
        let address = Ipv4Addr::from(BLOCK + nth + 1);
        table.by_name.insert(host.to_owned(), address);
        table.by_address.insert(address, host.to_owned());
        address
    }

    /// What an address means to a program of that host.
    pub(super) fn meaning(&self, own: &str, address: IpAddr) -> Meaning {
        let address = address.to_canonical();
        if address.is_loopback() || address.is_unspecified() {
            return Meaning::Loopback;
        }
        if self.machine.contains(&address) {
            return Meaning::Own;
        }
        let IpAddr::V4(address) = address else {
            return Meaning::Nowhere;
        };
        match self.table.borrow().by_address.get(&address) {
            Some(host) if host == own => Meaning::Own,
            Some(host) => Meaning::Host(host.clone()),
            None => Meaning::Nowhere,
        }
    }

    /// One of the files, as a program of that host finds it.
    pub(super) fn file(&self, file: NamesFile, own: &str, hosts: &[String]) -> io::Result<OwnedFd> {
        let text = match file {
            NamesFile::Hosts => self.hosts(own, hosts),
            NamesFile::Switch => switch(&std::fs::read_to_string("/etc/nsswitch.conf")),
            // Nothing is there; what asks all the same is to give up soon.
            NamesFile::Resolver => {
                "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n".to_owned()
            }
        };
        let memory = rustix::fs::memfd_create("names", MemfdFlags::CLOEXEC)?;
        let mut writer = File::from(memory);
        writer.write_all(text.as_bytes())?;
        // Another open file: to be read, from its beginning.
        let reader = File::open(format!("/proc/self/fd/{}", writer.as_raw_fd()))?;
        Ok(reader.into())
    }

    /// `/etc/hosts`.
    fn hosts(&self, own: &str, hosts: &[String]) -> String {
        let mut text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
        let mut line = |host: &str, also: &str| {
            let address = self.address(host);
            text.push_str(&format!("{address} {host}"));
            // What resolves names of other alphabets asks for them so.
            if let Some(ascii) = lonet::carried::ascii_name(host) {
                text.push(' ');
                text.push_str(&ascii);
            }
            if !also.is_empty() && !hosts.iter().any(|host| host == also) {
                text.push(' ');
                text.push_str(also);
            }
            text.push('\n');
        };
        line(own, &self.machine_name);
        hosts
            .iter()
            .filter(|host| *host != own)
            .for_each(|host| line(host, ""));
        text
    }
}

/// The machine's `nsswitch.conf`, with names of hosts from files alone.
fn switch(machine: &io::Result<String>) -> String {
    let machine = machine.as_deref().unwrap_or_default();
    let others = machine
        .lines()
        .filter(|line| !line.trim_start().starts_with("hosts:"));
    others
        .chain(["hosts: files"])
        .fold(String::new(), |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        })
}

/// An address as a socket of this family has it.
pub(super) fn in_family(address: SocketAddr, is_v6: bool) -> SocketAddr {
    match (address.ip(), is_v6) {
        (IpAddr::V4(ip), true) => SocketAddr::from((ip.to_ipv6_mapped(), address.port())),
        (IpAddr::V6(_), false) => SocketAddr::from((address.ip().to_canonical(), address.port())),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            table: RefCell::default(),
            machine: vec!["10.1.2.3".parse().expect("an address")],
            machine_name: "box".to_owned(),
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_means_a_host() {
        let names = names();
        assert_eq!(names.address("db"), Ipv4Addr::new(198, 18, 0, 1));
        assert_eq!(names.address("app"), Ipv4Addr::new(198, 18, 0, 2));
        assert_eq!(names.address("db"), Ipv4Addr::new(198, 18, 0, 1));
        let meaning = |address| names.meaning("db", ip(address));
        for loopback in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "0.0.0.0",
            "::",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(meaning(loopback), Meaning::Loopback, "{loopback}");
        }
        for own in ["198.18.0.1", "10.1.2.3", "::ffff:198.18.0.1"] {
            assert_eq!(meaning(own), Meaning::Own, "{own}");
        }
        assert_eq!(meaning("198.18.0.2"), Meaning::Host("app".to_owned()));
        for nowhere in ["198.18.0.3", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(meaning(nowhere), Meaning::Nowhere, "{nowhere}");
        }
    }

    #[test]
    fn a_program_finds_all_hosts() {
        let hosts = ["app".to_owned(), "db".to_owned(), "α".to_owned()];
        assert_eq!(
            names().hosts("db", &hosts),
            "127.0.0.1 localhost\n\
             ::1 localhost ip6-localhost ip6-loopback\n\
             198.18.0.1 db box\n\
             198.18.0.2 app\n\
             198.18.0.3 α xn--mxa\n"
        );
        let named_as_the_machine = ["box".to_owned(), "db".to_owned()];
        let text = names().hosts("db", &named_as_the_machine);
        assert!(text.contains("198.18.0.1 db\n198.18.0.2 box\n"), "{text}");
    }

    #[test]
    fn names_come_from_files_alone() {
        let machine = "passwd: files systemd\nhosts:  files mdns4 dns\n".to_owned();
        assert_eq!(
            switch(&Ok(machine)),
            "passwd: files systemd\nhosts: files\n"
        );
        let none = Err(io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(switch(&none), "hosts: files\n");
    }

    #[test]
    fn a_file_is_read_from_its_beginning_and_not_written() {
        let file = names()
            .file(NamesFile::Resolver, "db", &[])
            .expect("a file");
        let mut file = File::from(file);
        let mut text = String::new();
        io::Read::read_to_string(&mut file, &mut text).expect("it reads");
        assert!(text.starts_with("nameserver 127.0.0.1\n"), "{text}");
        assert!(file.write_all(b"x").is_err());
    }

    #[test]
    fn an_address_has_the_family_of_its_socket() {
        let v4: SocketAddr = "198.18.0.1:80".parse().expect("an address");
        let v6: SocketAddr = "[::ffff:198.18.0.1]:80".parse().expect("an address");
        assert_eq!(in_family(v4, true), v6);
        assert_eq!(in_family(v6, false), v4);
        assert_eq!(in_family(v4, false), v4);
    }
}
