//! Sockets that several processes and descriptors of a program share, and signals that interrupt it.

use super::*;

/// A connection is open as long as a process has it, and a listener likewise.
#[lonet::test]
async fn a_socket_lives_in_its_last_descriptor(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let forks = python(
        "
        import os, socket, sys
        s = socket.create_server(('', 80))
        other = s.dup()
        s.close()
        c = other.accept()[0]
        other.close()
        if os.fork() == 0:
            # The parent has closed it when this comes.
            socket.create_connection(('test', 1)).recv(1)
            c.sendall(c.recv(9).upper())
            c.close()
            os._exit(0)
        c.close()
        os.wait()
        ",
    );
    let test = scenario.host("test").await?;
    let listener = test.listen(":1").await?;
    let server = scenario.spawn("server", forks).await?;
    scenario.until("server:80 listen").await?;
    let mut conn = test.dial("server:80").await?;
    let go = listener.accept().await?;
    scenario.until("server:80 close").await?;
    conn.write_all(b"hello").await?;
    drop(go);
    let mut answer = String::new();
    conn.read_to_string(&mut answer).await?;
    assert_eq!(answer, "HELLO");
    assert!(server.await?.success());
    Ok(())
}

/// As socket activation does it, and inetd.
#[lonet::test]
async fn sockets_outlive_an_exec(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let executes = python(
        "
        import os, socket, subprocess, sys
        s = socket.create_server(('', 80))
        accepts = '''
        import socket, subprocess, sys
        s = socket.socket(fileno=int(sys.argv[1]))
        c = s.accept()[0]
        print(s.getsockname()[1], c.getsockname()[1], flush=True)
        subprocess.run(['tr', 'a-z', 'A-Z'], stdin=c, stdout=c)
        '''
        accepts = 'if 1:' + accepts
        subprocess.run([sys.executable, '-c', accepts, str(s.fileno())], pass_fds=[s.fileno()])
        ",
    );
    let server = scenario.spawn("server", executes).await?;
    scenario.until("server:80 listen").await?;
    let answer = returned(
        &scenario,
        "client",
        asks("server:80".into(), "hello".into()),
    )
    .await?;
    assert_eq!(answer, "HELLO");
    server.until("server exit 0").await?;
    assert_eq!(server.log(), "80 80\n");
    server.await?;
    scenario.assert_trace(
        "
        server:80 listen
        client:1 dial server:80
        server:1 accept client:1
        client:1 connect server:1
        server:1 close client:1
        client:1 close server:1
        server:80 close
        ",
    );
    Ok(())
}

/// A descriptor that goes to another process by a unix socket is the same socket there.
#[lonet::test]
async fn a_connection_is_handed_to_another_process(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let hands_over = python(
        "
        import os, socket
        here, there = socket.socketpair()
        if os.fork() == 0:
            c = socket.socket(fileno=socket.recv_fds(there, 1, 1)[1][0])
            c.sendall(c.recv(9).upper())
            c.shutdown(socket.SHUT_WR)
            print(c.getsockname()[1], c.recv(1))
            os._exit(0)
        s = socket.create_server(('', 80))
        c = s.accept()[0]
        socket.send_fds(here, [b'!'], [c.fileno()])
        c.close()
        os.wait()
        ",
    );
    let server = scenario.spawn("server", hands_over).await?;
    scenario.until("server:80 listen").await?;
    let answer = returned(
        &scenario,
        "client",
        asks("server:80".into(), "hello".into()),
    )
    .await?;
    assert_eq!(answer, "HELLO");
    server.until("server exit 0").await?;
    assert_eq!(server.log(), "80 b''\n");
    Ok(())
}

/// What a program waits in, a signal interrupts, as it does elsewhere.
#[lonet::test]
async fn a_signal_interrupts_what_waits(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let interrupted = python(
        "
        import ctypes, errno, signal, socket, threading
        class Interrupted(Exception):
            pass
        def interrupt(*_):
            raise Interrupted
        signal.signal(signal.SIGALRM, interrupt)
        s = socket.create_server(('', 80))
        def alarmed(call, *args):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                print(call(*args))
            except Interrupted:
                print('interrupted')
        alarmed(s.accept)
        alarmed(socket.create_connection, ('test', 80))
        # Another thread waits, too, and is not meant.
        got = []
        waits = threading.Thread(target=lambda: got.append(s.accept()), daemon=True)
        waits.start()
        alarmed(s.accept)
        # A call that is to begin again does.
        libc = ctypes.CDLL(None, use_errno=True)
        count = []
        signal.signal(signal.SIGALRM, lambda *_: count.append(1))
        signal.siginterrupt(signal.SIGALRM, True)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        print(libc.accept(s.fileno(), None, None), errno.errorcode[ctypes.get_errno()], len(count))
        signal.siginterrupt(signal.SIGALRM, False)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        c = socket.create_connection(('test', 81))
        fd = libc.accept(s.fileno(), None, None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(fd >= 0 or errno.errorcode[ctypes.get_errno()])
        waits.join()
        print(len(got))
        ",
    );
    let test = scenario.host("test").await?;
    let (_never, go) = (test.listen(":80").await?, test.listen(":81").await?);
    let program = scenario.spawn("program", interrupted).await?;
    let _go = go.accept().await?;
    let _both = (
        test.dial("program:80").await?,
        test.dial("program:80").await?,
    );
    program.until("program exit _").await?;
    assert_eq!(
        program.log(),
        "interrupted\ninterrupted\ninterrupted\n-1 EINTR 1\nTrue\n1\n"
    );
    Ok(())
}

/// A program that waits in a call ends when it is asked to.
#[lonet::test]
async fn what_waits_can_be_terminated(scenario: Scenario) -> Result<()> {
    use std::os::unix::process::ExitStatusExt;
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let test = scenario.host("test").await?;
    let _never = test.listen(":80").await?;
    for (host, call) in [
        ("accepts", "s.accept()"),
        ("dials", "socket.create_connection(('test', 80))"),
        ("reads", "socket.create_connection(('reads', 80)).recv(1)"),
    ] {
        let waits = format!(
            "        import socket\n        s = socket.create_server(('', 80))\n        {call}"
        );
        let node = scenario.spawn(host, python(&waits)).await?;
        scenario.until(&format!("{host}:80 listen")).await?;
        node.terminate().await?;
        assert_eq!(node.await?.signal(), Some(15), "{host}");
    }
    Ok(())
}

/// What is sent and closed before the other side accepts arrives all the same.
#[lonet::test]
async fn a_client_may_be_gone_before_it_is_accepted(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let late = python(
        "
        import socket
        s = socket.create_server(('', 80))
        # The client is gone when this comes.
        socket.create_connection(('test', 1)).recv(1)
        c = s.accept()[0]
        print(c.recv(9), c.recv(9))
        ",
    );
    let early = python(
        "
        import socket
        c = socket.create_connection(('server', 80))
        c.sendall(b'hello')
        c.close()
        ",
    );
    let test = scenario.host("test").await?;
    let listener = test.listen(":1").await?;
    let server = scenario.spawn("server", late).await?;
    let go = listener.accept().await?;
    let client = scenario.spawn("client", early).await?;
    let process = PathBuf::from(format!("/proc/{}", client.pid()));
    while process.exists() {
        tokio::task::yield_now().await;
    }
    drop(go);
    server.until("server exit 0").await?;
    assert_eq!(server.log(), "b'hello' b''\n");
    server.await?;
    assert!(client.await?.success());
    scenario.trace().only_hosts(&["client"]).assert(
        "
        client:1 dial server:80
        client:1 connect server:$1
        client:1 close server:$1
        ",
    );
    Ok(())
}
