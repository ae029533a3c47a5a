//! Listeners of programs: their addresses, ports that are not free outside, several sockets and
//! processes behind one port.

use super::*;

/// What a program sees of its own address and of its peer's is what it asked for.
#[lonet::test]
async fn a_program_sees_its_own_addresses(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let serves = python(
        "
        import socket
        own = socket.gethostbyname('server')
        for address in ('0.0.0.0', 80), ('', 81), ('server', 82), ('::', 83):
            s = socket.socket(socket.AF_INET6 if address[0] == '::' else socket.AF_INET)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(address)
            s.listen()
            c, peer = s.accept()
            peers = socket.gethostbyname('client')
            mapped = '::ffff:' if s.family == socket.AF_INET6 else ''
            assert c.getpeername() == peer, (c.getpeername(), peer)
            assert peer[0] == mapped + peers, peer
            assert c.getsockname()[:2] == (mapped + own, address[1]), c.getsockname()
            print(s.getsockname()[0].replace(own, 'own'), s.getsockname()[1], peer[1])
            c.close()
            s.close()
        ",
    );
    let dials = python(
        "
        import socket, time
        own, server = socket.gethostbyname('client'), socket.gethostbyname('server')
        for port in 80, 81, 82, 83:
            while True:
                try:
                    c = socket.create_connection(('server', port))
                    break
                except ConnectionRefusedError:
                    time.sleep(0.01)
            assert c.getpeername() == (server, port), c.getpeername()
            assert c.getsockname()[0] == own, c.getsockname()
            print(c.getsockname()[1], c.recv(1))
        ",
    );
    scenario.names(&["client"])?;
    let server = scenario.spawn("server", serves).await?;
    scenario.until("server:80 listen").await?;
    let client = scenario.spawn("client", dials).await?;
    server.until("server exit _").await?;
    client.until("client exit _").await?;
    let (server, client) = (server.log(), client.log());
    let ports = |log: &str, at: usize| -> Vec<String> {
        let words = log
            .lines()
            .map(|line| line.split(' ').nth(at).unwrap_or(line));
        words.map(str::to_owned).collect()
    };
    assert_eq!(ports(&server, 2), ports(&client, 0), "{server}{client}");
    let bound = ports(&server, 0);
    assert_eq!(bound, ["0.0.0.0", "0.0.0.0", "own", "::"], "{server}");
    assert_eq!(ports(&server, 1), ["80", "81", "82", "83"]);
    Ok(())
}

#[lonet::test]
async fn a_program_listens_on_ipv6(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let both = python(
        "
        import socket, threading
        def serve(s):
            while True:
                c, peer = s.accept()
                c.sendall(s.getsockname()[0].encode())
                c.close()
        any = socket.socket(socket.AF_INET6)
        any.bind(('::', 80))
        any.listen()
        own = socket.socket(socket.AF_INET6)
        own.bind(('::1', 81))
        own.listen()
        only = socket.socket(socket.AF_INET6)
        only.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        only.bind(('::', 82))
        only.listen()
        four = socket.socket()
        four.bind(('0.0.0.0', 82))
        four.listen()
        for s in any, own, only, four:
            threading.Thread(target=serve, args=[s], daemon=True).start()
        def ask(*address):
            try:
                return socket.create_connection(address, timeout=5).recv(99).decode()
            except ConnectionRefusedError:
                return 'refused'
        print(ask('::1', 80), ask('127.0.0.1', 80), ask('host', 80), ask('localhost', 80))
        print(ask('::1', 81), ask('localhost', 81))
        print(ask('127.0.0.1', 82) in ('::', '0.0.0.0'))
        socket.create_connection(('test', 1)).recv(1)
        ",
    );
    let test = scenario.host("test").await?;
    let end = test.listen(":1").await?;
    let host = scenario.spawn("host", both).await?;
    let _end = end.accept().await?;
    assert_eq!(host.log(), ":: :: :: ::\n::1 ::1\nTrue\n");
    let asked = returned(&scenario, "α", asks("host:80".into(), String::new())).await?;
    assert_eq!(asked, "::");
    let refused = test.dial("host:81").await.unwrap_err();
    assert!(matches!(refused.cause(), lonet::Cause::ConnectionRefused));
    Ok(())
}

#[lonet::test]
async fn a_port_is_free_once_it_is_closed(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let again = python(
        "
        import socket
        for n in range(50):
            s = socket.create_server(('', 80))
            s.close()
        ",
    );
    printed(&scenario, "α", again).await?;
    assert_eq!(scenario.trace().count("α:80 listen")?, 50);
    assert_eq!(scenario.trace().count("α:80 close")?, 50);
    Ok(())
}

/// As asyncio does it for an empty address.
#[lonet::test]
async fn two_families_are_bound_before_they_listen(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let binds = python(
        "
        import socket
        four, six = socket.socket(socket.AF_INET), socket.socket(socket.AF_INET6)
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for s, address in (four, '0.0.0.0'), (six, '::'):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, 80))
        for s in six, four:
            s.listen()
            print(s.getsockname()[:2])
        ",
    );
    let said = printed(&scenario, "α", binds).await?;
    assert_eq!(said, "('::', 80)\n('0.0.0.0', 80)\n");
    scenario.assert_trace("α:80 listen\nα:80 close");
    Ok(())
}

/// Another program of the machine has the port, on all addresses, or only root may have it.
#[lonet::test]
async fn a_port_that_is_not_free_outside_is_free_inside(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let machine = std::net::TcpListener::bind("0.0.0.0:0")?;
    let port = machine.local_addr()?.port();
    let serves = python(
        "
        import socket, sys
        for port in int(sys.argv[1]), 7:
            s = socket.create_server(('', port))
            print(s.getsockname())
            c = s.accept()[0]
            print(c.getsockname()[1], c.recv(9))
            c.close()
        ",
    );
    let server = scenario
        .spawn("server", serves.arg(port.to_string()))
        .await?;
    scenario.until(&format!("server:{port} listen")).await?;
    for (host, port) in [("α", port), ("β", 7)] {
        scenario.until(&format!("server:{port} listen")).await?;
        let address = format!("server:{port}");
        returned(&scenario, host, asks(address, "hello".into())).await?;
    }
    server.until("server exit 0").await?;
    let expected = format!("('0.0.0.0', {port})\n{port} b'hello'\n('0.0.0.0', 7)\n7 b'hello'\n");
    assert_eq!(server.log(), expected);
    Ok(())
}

/// Processes that a program forks after it listens accept from the same port.
#[lonet::test]
async fn forked_processes_accept_from_one_port(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let forks = python(
        "
        import os, socket
        s = socket.create_server(('', 80))
        for n in range(3):
            if os.fork() == 0:
                c = s.accept()[0]
                c.sendall(b'%d' % n + c.recv(9))
                os._exit(0)
        s.close()
        for n in range(3):
            assert os.wait()[1] == 0
        ",
    );
    let server = scenario.spawn("server", forks).await?;
    scenario.until("server:80 listen").await?;
    let mut answers = Vec::new();
    for host in ["a", "b", "c"] {
        answers.push(returned(&scenario, host, asks("server:80".into(), "!".into())).await?);
    }
    answers.sort_unstable();
    assert_eq!(answers, ["0!", "1!", "2!"]);
    assert!(server.await?.success());
    scenario.assert_trace(
        "
        server:80 listen
        a:1 dial server:80
        server:$a accept a:1
        a:1 connect server:$a
        server:$a close a:1
        a:1 close server:$a
        b:1 dial server:80
        server:$b accept b:1
        b:1 connect server:$b
        server:$b close b:1
        b:1 close server:$b
        c:1 dial server:80
        server:$c accept c:1
        c:1 connect server:$c
        server:$c close c:1
        c:1 close server:$c
        server:80 close
        ",
    );
    Ok(())
}

/// Two processes with a socket each at one port are one listener, as long as one of them is there.
#[lonet::test]
async fn sockets_that_share_a_port_are_one_listener(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let shares = python(
        "
        import os, socket
        def listener():
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            s.bind(('0.0.0.0', 80))
            s.listen()
            return s
        first = listener()
        if os.fork() == 0:
            first.close()
            second = listener()
            # The first is closed once this has come.
            socket.create_connection(('server', 81)).recv(1)
            while True:
                c = second.accept()[0]
                c.sendall(b'second')
                c.close()
        control = socket.create_server(('', 81))
        c = control.accept()[0]
        first.close()
        c.close()
        control.close()
        os.wait()
        ",
    );
    let server = scenario.spawn("server", shares).await?;
    scenario.until("server:81 close").await?;
    for host in ["a", "b", "c"] {
        let answer = returned(&scenario, host, asks("server:80".into(), String::new())).await?;
        assert_eq!(answer, "second");
    }
    server.kill().await?;
    let trace = scenario.trace().only_hosts(&["server"]);
    assert_eq!(trace.count("server:80 listen")?, 1);
    assert_eq!(trace.count("server:80 close")?, 1);
    trace.assert_order("server:80 listen\nserver:_ accept c:1\nserver:80 close\n! kill server");
    Ok(())
}

#[lonet::test]
async fn a_second_listener_at_a_port_is_refused(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let twice = python(
        "
        import ctypes, errno, os, socket, threading
        def error(call, *args):
            try:
                return call(*args)
            except OSError as error:
                return errno.errorcode[error.errno]
        s = socket.create_server(('', 80))
        print(error(socket.socket().bind, ('', 80)), error(socket.socket().bind, ('127.0.0.1', 80)))
        print(error(socket.socket().bind, ('192.0.2.77', 80)))
        print(error(socket.socket().accept))
        s.setblocking(False)
        print(error(s.accept))
        s.setblocking(True)
        # The kernel's own limit, not Python's.
        import struct
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 0, 50000))
        print(error(s.accept))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 0, 0))
        # Another thread ends it.
        def end():
            s.shutdown(socket.SHUT_RDWR)
        ends = threading.Thread(target=end)
        ends.start()
        print(error(s.accept))
        ends.join()
        libc = ctypes.CDLL(None, use_errno=True)
        fd = s.detach()
        os.close(fd)
        print(libc.accept(fd, None, None), errno.errorcode[ctypes.get_errno()])
        s = socket.create_server(('', 80))
        s.close()
        print(libc.listen(fd, 1), errno.errorcode[ctypes.get_errno()])
        ",
    );
    let said = printed(&scenario, "server", twice).await?;
    assert_eq!(
        said,
        "EADDRINUSE EADDRINUSE\nEADDRNOTAVAIL\nEINVAL\nEAGAIN\nEAGAIN\nEINVAL\n-1 EBADF\n-1 EBADF\n"
    );
    scenario
        .trace()
        .assert("server:80 listen\nserver:80 close\nserver:80 listen\nserver:80 close");
    Ok(())
}

#[lonet::test]
#[ignore = "is run by another test"]
async fn meets_another(scenario: Scenario) -> Result<()> {
    let serves = python(
        "
        import socket
        s = socket.create_server(('', 5432))
        c = s.accept()[0]
        c.sendall(b'mine')
        ",
    );
    let server = scenario.spawn("db", serves).await?;
    scenario.until("db:5432 listen").await?;
    // Both are there now.
    let place = std::env::var_os("MEETING_PLACE").expect("the other test says it");
    let mut meets = tokio::net::UnixStream::connect(place).await?;
    meets.read_u8().await?;
    let answer = returned(&scenario, "app", asks("db:5432".into(), String::new())).await?;
    assert_eq!(answer, "mine");
    assert!(server.await?.success());
    Ok(())
}

#[test]
fn two_scenarios_have_one_port_at_the_same_time() {
    use std::io::Write;
    if !are_here(&[PYTHON]) {
        return;
    }
    let tmp = lonet_tests::tmp::Tmp::new().unwrap();
    let place = tmp.path().join("meet");
    let meeting = std::os::unix::net::UnixListener::bind(&place).unwrap();
    let mut both = [(); 2].map(|()| {
        let mut test = std::process::Command::new(std::env::current_exe().unwrap());
        test.args(["listening::meets_another", "--exact", "--ignored"]);
        test.env("MEETING_PLACE", &place);
        test.spawn().unwrap()
    });
    let met = [(); 2].map(|()| meeting.accept().unwrap().0);
    met.into_iter()
        .for_each(|mut one| one.write_all(b"!").unwrap());
    both.iter_mut()
        .for_each(|test| assert!(test.wait().unwrap().success()));
}
