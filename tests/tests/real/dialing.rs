//! Dials of programs: refused, blocking and not, to themselves.

use super::*;

#[lonet::test]
async fn nobody_listens_is_refused(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    // One that is up, and listens where only it itself is heard.
    let quiet = python(
        "
        import socket
        s = socket.create_server(('127.0.0.1', 80))
        c = socket.create_connection(('127.0.0.1', 80))
        socket.create_connection(('localhost', 80))
        s.accept()
        socket.create_connection(('test', 1)).recv(1)
        ",
    );
    let test = scenario.host("test").await?;
    let quiet_is_up = test.listen(":1").await?;
    let _quiet = scenario.spawn("quiet", quiet).await?;
    let _up = quiet_is_up.accept().await?;
    let dials = python(
        "
        import select, socket, time
        for address in ('quiet', 80), ('quiet', 81), ('localhost', 80), ('dials', 80), ('test', 2):
            began = time.monotonic()
            try:
                socket.create_connection(address)
                print(address, 'is there')
            except ConnectionRefusedError as error:
                assert time.monotonic() - began < 5
            # The same, and it does not wait.
            s = socket.socket()
            s.setblocking(False)
            begun = s.connect_ex((socket.gethostbyname(address[0]), address[1]))
            if begun == 115:
                select.select([], [s], [], 30)
                begun = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            print(begun, end=' ')
        ",
    );
    let said = printed(&scenario, "dials", dials).await?;
    assert_eq!(said, "111 111 111 111 111 ");
    scenario.trace().only_hosts(&["dials"]).assert(
        "
        dials:1 dial quiet:80
        dials:1 fail quiet:80 connection refused
        dials:1 dial quiet:80
        dials:1 fail quiet:80 connection refused
        dials:1 dial quiet:81
        dials:1 fail quiet:81 connection refused
        dials:1 dial quiet:81
        dials:1 fail quiet:81 connection refused
        # localhost is ::1 first, and then 127.0.0.1.
        dials:1 dial dials:80
        dials:1 fail dials:80 connection refused
        dials:1 dial dials:80
        dials:1 fail dials:80 connection refused
        dials:1 dial dials:80
        dials:1 fail dials:80 connection refused
        dials:1 dial dials:80
        dials:1 fail dials:80 connection refused
        dials:1 dial dials:80
        dials:1 fail dials:80 connection refused
        dials:1 dial test:2
        dials:1 fail test:2 connection refused
        dials:1 dial test:2
        dials:1 fail test:2 connection refused
        ",
    );
    Ok(())
}

/// One thread listens, dials itself and only then accepts, as the kernel lets it.
#[lonet::test]
async fn a_program_dials_itself(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let itself = python(
        "
        import socket
        for port, name in enumerate(['127.0.0.1', 'α', '0.0.0.0', socket.gethostname()], 80):
            s = socket.create_server(('', port))
            c = socket.create_connection((name, port))
            c.sendall(b'hello')
            a, peer = s.accept()
            assert peer == c.getsockname() and peer == a.getpeername(), (peer, c.getsockname())
            assert a.getsockname()[1] == c.getpeername()[1] == port
            print(a.recv(9))
            for end in a, c, s:
                end.close()
        ",
    );
    let said = printed(&scenario, "α", itself).await?;
    assert_eq!(said, "b'hello'\n".repeat(4));
    Ok(())
}

/// A dial that does not wait is not decided until the other side accepts.
#[lonet::test]
async fn a_dial_that_does_not_wait_completes_at_the_accept(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let dials = python(
        "
        import select, socket
        s = socket.socket()
        s.setblocking(False)
        print(s.connect_ex((socket.gethostbyname('test'), 80)))
        print(select.select([], [s], [], 0.1)[1])
        c = socket.create_connection(('test', 81))
        poll = select.epoll()
        poll.register(s, select.EPOLLOUT)
        print(len(poll.poll(30)), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        print(s.getpeername() == (socket.gethostbyname('test'), 80), s.getsockname()[1])
        s.sendall(b'hello')
        ",
    );
    let test = scenario.host("test").await?;
    let (late, now) = (test.listen(":80").await?, test.listen(":81").await?);
    let alpha = scenario.spawn("α", dials).await?;
    let _now = now.accept().await?;
    let mut conn = late.accept().await?;
    let mut text = String::new();
    conn.read_to_string(&mut text).await?;
    assert_eq!(text, "hello");
    alpha.until("α exit 0").await?;
    assert_eq!(alpha.log(), "115\n[]\n1 0\nTrue 1\n");
    Ok(())
}

/// A dial that the program gives up before anybody has accepted it is none.
#[lonet::test]
async fn a_dial_can_be_given_up(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let gives_up = python(
        "
        import socket
        address = (socket.gethostbyname('test'), 80)
        try:
            socket.create_connection(address, timeout=0.1)
        except TimeoutError:
            print('late')
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(address)
        s.close()
        socket.create_connection(('test', 81)).recv(1)
        ",
    );
    let test = scenario.host("test").await?;
    let (_never, end) = (test.listen(":80").await?, test.listen(":81").await?);
    let alpha = scenario.spawn("α", gives_up).await?;
    // Its host may be down before the kernel says that the sockets are closed.
    let end = end.accept().await?;
    let first = scenario.until("α:_ fail test:80 cancelled").await?;
    let second = "α:_ fail test:80 cancelled";
    if scenario.trace().count(second)? < 2 {
        scenario.until_after(&first, second).await?;
    }
    drop(end);
    alpha.until("α exit 0").await?;
    assert_eq!(alpha.log(), "late\n");
    let trace = scenario.trace();
    assert_eq!(trace.count("α:_ dial test:80")?, 2);
    assert_eq!(trace.count(second)?, 2);
    Ok(())
}

/// The port that a program binds before it dials is its port on the network.
#[lonet::test]
async fn a_dial_comes_from_the_port_that_was_bound(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let dials = python(
        "
        import socket
        c = socket.create_connection(('test', 80), source_address=('', 4000))
        print(c.getsockname()[1])
        ",
    );
    let test = scenario.host("test").await?;
    let listener = test.listen(":80").await?;
    let alpha = scenario.spawn("α", dials).await?;
    let conn = listener.accept().await?;
    assert_eq!(conn.peer_addr().to_string(), "α:4000");
    alpha.until("α exit 0").await?;
    assert_eq!(alpha.log(), "4000\n");
    Ok(())
}
