//! Names of hosts inside programs, and what is not on the network.

use super::*;

#[lonet::test]
async fn curl_gets_from_pythons_server(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON, CURL]) {
        return Ok(());
    }
    let dir = scenario.data_dir("web");
    std::fs::write(dir.join("hello.txt"), "hello\n")?;
    let server = Program::new("python3").args(["-u", "-m", "http.server", "80"]);
    let web = scenario.spawn("web", server.current_dir(&dir)).await?;
    scenario.until("web:80 listen").await?;
    let curl = Program::new("curl").args(["-s", "http://web/hello.txt"]);
    assert_eq!(printed(&scenario, "client", curl).await?, "hello\n");
    scenario.until("web:1 close client:1").await?;
    web.kill().await?;
    scenario.assert_trace(
        "
        web:80 listen
        client:1 dial web:80
        web:1 accept client:1
        client:1 connect web:1
        client:1 close web:1
        web:1 close client:1
        web:80 close
        ! kill web
        ",
    );
    Ok(())
}

/// A name that the scenario has reserved is known from the beginning, and refused until it is up.
#[lonet::test]
async fn a_reserved_name_is_refused_to_a_program(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON, CURL]) {
        return Ok(());
    }
    scenario.names(&["web"])?;
    // Resolves the name once, before there is that host.
    let resolves = python(
        "
        import socket
        web = (socket.gethostbyname('web'), 80)
        try:
            socket.create_connection(web)
        except ConnectionRefusedError as error:
            print('refused', error.errno)
        # The test accepts when there is the host.
        control = socket.create_connection(('test', 1))
        control.recv(1)
        c = socket.create_connection(web)
        c.sendall(b'hello')
        c.shutdown(socket.SHUT_WR)
        print(c.recv(9))
        ",
    );
    let test = scenario.host("test").await?;
    let control = test.listen(":1").await?;
    let early = scenario.spawn("early", resolves).await?;
    let mut go = control.accept().await?;
    let curl = Program::new("curl").args(["-sS", "http://web/"]);
    let refused = scenario.spawn("curl", curl).await?;
    assert_eq!(refused.await?.code(), Some(7));
    let unknown = Program::new("curl").args(["-sS", "http://unknown/"]);
    let unknown = scenario.spawn("curl2", unknown).await?;
    assert_eq!(unknown.await?.code(), Some(6));
    let web = scenario.spawn("web", shouts(80, 1)).await?;
    scenario.until("web:80 listen").await?;
    go.write_all(b"!").await?;
    early.until("early exit 0").await?;
    assert_eq!(early.log(), "refused 111\nb'HELLO'\n");
    web.await?;
    scenario.trace().only_hosts(&["curl", "web"]).assert(
        "
        curl:1 dial web:80
        curl:1 fail web:80 connection refused
        web:80 listen
        web:1 accept early:2
        web:1 close early:2
        web:80 close
        ",
    );
    Ok(())
}

/// Whichever way a program resolves names, all hosts have one, and nothing else has.
#[lonet::test]
async fn every_resolver_finds_the_hosts(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    scenario.names(&["db", "α"])?;
    let shell = r#"
        getent hosts db | grep -c ' db$'
        getent ahostsv4 db | grep -c STREAM
        getent ahosts db | grep -c 'STREAM db'
        getent hosts localhost | grep -c localhost
        test "$(getent ahostsv4 "$(hostname)")" && echo the machine
        getent ahosts nowhere.example.com || echo not there
    "#;
    let shell = Program::new("sh").args(["-c", shell]);
    let found = printed(&scenario, "shell", shell).await?;
    assert_eq!(found, "1\n1\n1\n1\nthe machine\nnot there\n");
    let python = python(
        "
        import socket
        db = socket.gethostbyname('db')
        print({a[4] for a in socket.getaddrinfo('db', 80, type=socket.SOCK_STREAM)} == {(db, 80)})
        print(socket.gethostbyname('α') not in (db, socket.gethostbyname('python')))
        print(socket.gethostbyaddr(db)[0], socket.getfqdn(db))
        print(socket.getnameinfo((db, 80), 0))
        own = socket.gethostbyname('python')
        print(socket.gethostbyname(socket.gethostname()) == own)
        try:
            socket.getaddrinfo('nowhere.example.com', 80)
        except socket.gaierror as error:
            print('not there')
        ",
    );
    let found = printed(&scenario, "python", python).await?;
    assert_eq!(
        found,
        "True\nTrue\ndb db\n('db', 'http')\nTrue\nnot there\n"
    );
    Ok(())
}

/// What is not on the network is refused at once, even if the machine has it.
#[lonet::test]
async fn nothing_of_the_machine_is_dialed(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON, CURL]) {
        return Ok(());
    }
    let machine = std::net::TcpListener::bind("0.0.0.0:0")?;
    machine.set_nonblocking(true)?;
    let port = machine.local_addr()?.port().to_string();
    let dials = python(
        "
        import os, socket, subprocess, sys
        port = int(sys.argv[1])
        own = subprocess.run(['hostname', '-I'], capture_output=True, text=True).stdout.split()
        for ip in ['127.0.0.1', '127.0.0.7', '::1', '0.0.0.0', '192.0.2.77', '1.1.1.1',
                   '2001:db8::1', '198.18.77.77', '255.255.255.255'] + own:
            try:
                socket.create_connection((ip, port), timeout=5)
                print(ip, 'is there')
            except ConnectionRefusedError:
                pass
        for family in socket.AF_INET, socket.AF_INET6:
            for kind in socket.SOCK_DGRAM, socket.SOCK_RAW:
                try:
                    socket.socket(family, kind)
                    print('a socket')
                except PermissionError as error:
                    print(error.errno)
        ",
    );
    let said = printed(&scenario, "α", dials.arg(&port)).await?;
    assert_eq!(said, "1\n1\n1\n1\n");
    for (host, url, code) in [
        ("c1", format!("http://127.0.0.1:{port}/"), 7),
        ("c2", "http://1.1.1.1/".to_owned(), 7),
        ("c3", "http://example.com/".to_owned(), 6),
    ] {
        let curl = Program::new("curl").args(["-sS", &url]);
        let curl = scenario.spawn(host, curl).await?;
        assert_eq!(curl.await?.code(), Some(code), "{url}");
    }
    let nobody = machine.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
    Ok(())
}
