//! Faults act on programs as on roles.

use lonet_harness::fault::{cut, delay, kill, partition, refuse, reset, slice};

use super::*;

/// Answers each connection with all that it sends, in capitals.
fn shouting() -> Program {
    python(
        "
        import socket, threading
        def serve(c):
            while some := c.recv(65536):
                c.sendall(some.upper())
            c.close()
        s = socket.create_server(('', 80), backlog=100)
        while True:
            threading.Thread(target=serve, args=[s.accept()[0]], daemon=True).start()
        ",
    )
}

/// A dial into a partition goes on until it heals, whether the program waits or not.
#[lonet::test]
async fn a_programs_dial_waits_for_the_heal(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let dials = python(
        "
        import select, socket, sys, time
        address = (socket.gethostbyname('server'), 80)
        s = socket.socket()
        s.setblocking(False)
        print(s.connect_ex(address), select.select([], [s], [], 0.2)[1])
        late = socket.socket()
        late.settimeout(0.1)
        try:
            late.connect(address)
        except TimeoutError:
            print('late')
        # Now it heals.
        control = socket.create_connection(('test', 1))
        select.select([], [s], [])
        print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        s.setblocking(True)
        s.sendall(b'hello')
        print(s.recv(9))
        ",
    );
    let test = scenario.host("test").await?;
    let stuck = test.listen(":1").await?;
    let _server = scenario.spawn("server", shouting()).await?;
    scenario.until("server:80 listen").await?;
    let fault = scenario.inject(partition("server", "client")).await?;
    let client = scenario.spawn("client", dials).await?;
    let _stuck = stuck.accept().await?;
    fault.heal().await?;
    client.until("client exit 0").await?;
    assert_eq!(client.log(), "115 []\nlate\n0\nb'HELLO'\n");
    Ok(())
}

#[lonet::test]
async fn a_programs_connection_is_reset(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let reads = python(
        "
        import socket
        c = socket.create_connection(('server', 80))
        c.sendall(b'hello')
        print(c.recv(9))
        socket.create_connection(('test', 1)).close()
        try:
            print(c.recv(9))
        except ConnectionResetError:
            print('reset')
        ",
    );
    let test = scenario.host("test").await?;
    let there = test.listen(":1").await?;
    let _server = scenario.spawn("server", shouting()).await?;
    scenario.until("server:80 listen").await?;
    let client = scenario.spawn("client", reads).await?;
    drop(there.accept().await?);
    let fault = scenario.inject(reset("client", "server")).await?;
    fault.fired().await?;
    client.until("client exit 0").await?;
    assert_eq!(client.log(), "b'HELLO'\nreset\n");
    Ok(())
}

#[lonet::test]
async fn a_programs_dial_is_refused(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON, CURL]) {
        return Ok(());
    }
    let _server = scenario.spawn("server", shouting()).await?;
    scenario.until("server:80 listen").await?;
    let _fault = scenario.inject(refuse("client", "server")).await?;
    let curl = Program::new("curl").args(["-sS", "http://server/"]);
    let curl = scenario.spawn("client", curl).await?;
    assert_eq!(curl.await?.code(), Some(7));
    Ok(())
}

/// In slices, late, and in one direction only after a while: all arrives, and in order.
#[lonet::test]
async fn a_programs_bytes_pass_a_bad_network(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let sends = python(
        "
        import select, socket, time
        c = socket.create_connection(('server', 80))
        data = bytes(range(97, 123)) * 400
        began = time.monotonic()
        c.sendall(data[:1])
        got = c.recv(1)
        print(time.monotonic() - began > 0.1)
        c.sendall(data[1:])
        while len(got) < len(data):
            got += c.recv(65536)
        print(got == data.upper())
        control = socket.create_connection(('test', 1))
        control.recv(1)
        c.sendall(b'withheld')
        print(select.select([c], [], [], 0.2)[0])
        control.close()
        print(c.recv(9))
        ",
    );
    let test = scenario.host("test").await?;
    let listener = test.listen(":1").await?;
    let _server = scenario.spawn("server", shouting()).await?;
    scenario.until("server:80 listen").await?;
    let late = std::time::Duration::from_millis(100);
    let late = scenario.inject(delay("client", "server", late)).await?;
    let sliced = scenario.inject(slice("server", "client", 100)).await?;
    let client = scenario.spawn("client", sends).await?;
    let mut control = listener.accept().await?;
    late.heal().await?;
    sliced.heal().await?;
    let fault = scenario.inject(cut("server", "client")).await?;
    control.write_all(b"!").await?;
    control.read_to_end(&mut Vec::new()).await?;
    fault.heal().await?;
    client.until("client exit 0").await?;
    assert_eq!(client.log(), "True\nTrue\n[]\nb'WITHHELD'\n");
    Ok(())
}

/// A program does not get what it accepts until the test lets it.
#[lonet::test]
async fn a_programs_accept_is_held(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let says = python(
        "
        import socket
        s = socket.create_server(('', 80))
        c = s.accept()[0]
        print('accepted')
        c.sendall(b'hello')
        ",
    );
    let server = scenario.spawn("server", says).await?;
    scenario.until("server:80 listen").await?;
    let hold = scenario.hold("server:_ accept client:_").await?;
    let asked = asks("server:80".into(), String::new());
    let client = scenario.spawn("client", asked).await?;
    hold.reached().await?;
    assert_eq!(server.log(), "");
    hold.release().await?;
    assert_eq!(client.await?, "hello");
    Ok(())
}

/// A program that is killed at its own event does nothing after it.
#[lonet::test]
async fn a_program_is_killed_at_its_accept(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let killed = scenario
        .inject(kill("server").at("server:_ accept _:_"))
        .await?;
    let server = scenario.spawn("server", shouting()).await?;
    scenario.until("server:80 listen").await?;
    let asked = scenario.spawn("client", asks("server:80".into(), "hello".into()));
    let client = asked.await?;
    killed.fired().await?;
    let nothing = client.await;
    assert!(!nothing.is_ok_and(|answer| answer == "HELLO"));
    server.restart().await?;
    let fired = scenario.until("! restart server").await?;
    scenario.until_after(&fired, "server:80 listen").await?;
    Ok(())
}

/// Paused, a program reads and answers nothing; then it goes on.
#[lonet::test]
async fn a_program_is_paused(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let server = scenario.spawn("server", shouting()).await?;
    scenario.until("server:80 listen").await?;
    let test = scenario.host("test").await?;
    let mut conn = test.dial("server:80").await?;
    server.pause().await?;
    conn.write_all(b"hello").await?;
    let mut answer = [0; 5];
    let moment = std::time::Duration::from_millis(100);
    let early = tokio::time::timeout(moment, conn.read_exact(&mut answer)).await;
    assert!(early.is_err());
    server.resume().await?;
    conn.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"HELLO");
    Ok(())
}
