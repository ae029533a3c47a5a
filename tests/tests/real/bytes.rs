//! What programs send: whole, in order, in both directions, and how a connection ends.

use super::*;

const BOTH_WAYS: &str = "
        import hashlib, random, socket, sys, threading
        def both_ways(c, seed):
            data = random.Random(seed).randbytes(10_000_000)
            def send():
                c.sendall(data)
                c.shutdown(socket.SHUT_WR)
            sends = threading.Thread(target=send)
            sends.start()
            n, got = 0, hashlib.sha256()
            while some := c.recv(65536):
                n += len(some)
                got.update(some)
            sends.join()
            other = random.Random(1 - seed).randbytes(10_000_000)
            print(n, got.digest() == hashlib.sha256(other).digest())
";

#[lonet::test]
async fn ten_megabytes_pass_in_both_directions(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let serves = format!(
        "{BOTH_WAYS}
        s = socket.create_server(('', 80))
        both_ways(s.accept()[0], 0)
        "
    );
    let dials = format!(
        "{BOTH_WAYS}
        both_ways(socket.create_connection(('server', 80)), 1)
        "
    );
    let server = scenario.spawn("server", python(&serves)).await?;
    scenario.until("server:80 listen").await?;
    let client = printed(&scenario, "client", python(&dials)).await?;
    assert_eq!(client, "10000000 True\n");
    server.until("server exit 0").await?;
    assert_eq!(server.log(), "10000000 True\n");
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

/// Sends back all that comes, and how much it was.
#[lonet::host]
async fn echoes(host: Host) -> Result<usize> {
    let mut conn = host.listen(":80").await?.accept().await?;
    let (mut total, mut buffer) = (0, vec![0; 50_000]);
    loop {
        match conn.read(&mut buffer).await? {
            0 => return Ok(total),
            n => {
                total += n;
                conn.write_all(&buffer[..n]).await?;
            }
        }
    }
}

#[lonet::test]
async fn ten_megabytes_come_back_from_a_role(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let role = scenario.spawn("role", echoes()).await?;
    scenario.until("role:80 listen").await?;
    let sends = format!(
        "{BOTH_WAYS}
        random.Random = lambda seed, Random=random.Random: Random(0)
        both_ways(socket.create_connection(('role', 80)), 0)
        "
    );
    let said = printed(&scenario, "python", python(&sends)).await?;
    assert_eq!(said, "10000000 True\n");
    assert_eq!(role.await?, 10_000_000);
    Ok(())
}

/// Like `nc`: what is asked ends, and then the answer comes.
#[lonet::test]
async fn one_direction_ends_before_the_other(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let serves = python(
        "
        import socket
        s = socket.create_server(('', 80))
        for n in range(2):
            c = s.accept()[0]
            text = b''
            while some := c.recv(9):
                text += some
            c.sendall(text.upper())
            c.close()
        ",
    );
    scenario.record_data()?;
    let _server = scenario.spawn("server", serves).await?;
    scenario.until("server:80 listen").await?;
    let asks_it = python(
        "
        import socket
        c = socket.create_connection(('server', 80))
        c.sendall(b'some words')
        c.shutdown(socket.SHUT_WR)
        print(c.recv(99), c.recv(99))
        ",
    );
    let said = printed(&scenario, "client", asks_it).await?;
    assert_eq!(said, "b'SOME WORDS' b''\n");
    let asked = asks("server:80".into(), "other words".into());
    assert_eq!(returned(&scenario, "role", asked).await?, "OTHER WORDS");
    let client = scenario.trace().with_data().only_hosts(&["client"]);
    client.assert(
        "
        client:1 dial server:80
        client:1 connect server:1
        client:1 send server:1 10
        client:1 shutdown server:1
        client:1 recv server:1 10
        client:1 close server:1
        ",
    );
    Ok(())
}

#[lonet::host]
async fn until_the_end(host: Host, to: String) -> Result<(usize, String)> {
    let mut conn = host.dial(to).await?;
    let mut text = Vec::new();
    let end = match conn.read_to_end(&mut text).await {
        Ok(_) => "EOF".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    };
    Ok((text.len(), end))
}

/// A close with SO_LINGER 0 is a reset for the other side, whichever that is.
#[lonet::test]
async fn an_abortive_close_is_a_reset(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let aborts = python(
        "
        import socket, struct
        s = socket.create_server(('', 80))
        for n in range(2):
            c = s.accept()[0]
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            c.close()
        ",
    );
    let _server = scenario.spawn("server", aborts).await?;
    scenario.until("server:80 listen").await?;
    let reads = python(
        "
        import socket
        c = socket.create_connection(('server', 80))
        try:
            print(c.recv(9))
        except ConnectionResetError as error:
            print(error.errno)
        ",
    );
    assert_eq!(printed(&scenario, "client", reads).await?, "104\n");
    let ended = returned(&scenario, "role", until_the_end("server:80".into())).await?;
    assert_eq!(ended, (0, "ConnectionReset".to_owned()));
    Ok(())
}

#[lonet::host]
async fn aborts(host: Host) -> Result<()> {
    let listener = host.listen(":80").await?;
    let mut conn = listener.accept().await?;
    conn.write_all(b"hello").await?;
    let mut one = [0];
    conn.read_exact(&mut one).await?;
    // What it has not read is lost, and the other side is to know.
    drop(conn);
    Ok(())
}

/// Once the other side is gone, what a program writes is refused, and it gets SIGPIPE or EPIPE.
#[lonet::test]
async fn writing_to_a_peer_that_is_gone_fails(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let role = scenario.spawn("role", aborts()).await?;
    scenario.until("role:80 listen").await?;
    let writes = python(
        "
        import socket
        c = socket.create_connection(('role', 80))
        print(c.recv(5))
        c.sendall(b'0123456789')
        try:
            while True:
                c.sendall(bytes(100_000))
        except (BrokenPipeError, ConnectionResetError):
            print('gone')
        ",
    );
    let said = printed(&scenario, "python", writes).await?;
    assert_eq!(said, "b'hello'\ngone\n");
    Ok(role.await?)
}

/// A connection from which nobody reads takes up only so much.
#[lonet::test]
async fn a_slow_reader_stops_a_program(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let writes = python(
        "
        import select, socket
        c = socket.create_connection(('test', 80))
        c.setblocking(False)
        n, total = 0, 64_000_000
        while select.select([], [c], [], 0.5)[1]:
            n += c.send(bytes(100_000))
            assert n < total
        print('stuck')
        c.setblocking(True)
        socket.create_connection(('test', 81)).close()
        c.sendall(bytes(total - n))
        ",
    );
    let test = scenario.host("test").await?;
    let (data, stuck) = (test.listen(":80").await?, test.listen(":81").await?);
    let program = scenario.spawn("program", writes).await?;
    let mut conn = data.accept().await?;
    drop(stuck.accept().await?);
    assert_eq!(program.log(), "stuck\n");
    let (mut total, mut buffer) = (0, vec![0; 1 << 20]);
    loop {
        match conn.read(&mut buffer).await? {
            0 => break,
            n => total += n,
        }
    }
    assert_eq!(total, 64_000_000);
    assert!(program.await?.success());
    Ok(())
}

/// Of a program that is killed, a part arrives, and then the end.
#[lonet::test]
async fn a_program_is_killed_while_it_sends(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let sends = python(
        "
        import socket
        c = socket.create_server(('', 80)).accept()[0]
        while True:
            c.sendall(bytes(10_000))
        ",
    );
    let reads = python(
        "
        import socket
        c = socket.create_connection(('server', 80))
        n = 0
        try:
            while some := c.recv(100_000):
                n += len(some)
                if n - len(some) < 1_000_000 <= n:
                    socket.create_connection(('test', 1))
            print('EOF')
        except ConnectionResetError:
            print('reset')
        assert n >= 1_000_000
        ",
    );
    let test = scenario.host("test").await?;
    let some = test.listen(":1").await?;
    let server = scenario.spawn("server", sends).await?;
    scenario.until("server:80 listen").await?;
    let client = scenario.spawn("client", reads).await?;
    drop(some.accept().await?);
    server.kill().await?;
    client.until("client exit 0").await?;
    assert!(
        ["EOF\n", "reset\n"].contains(&client.log().as_str()),
        "{}",
        client.log()
    );
    client.await?;
    scenario.assert_trace(
        "
        test:1 listen
        server:80 listen
        client:1 dial server:80
        server:1 accept client:1
        server:80 close
        client:1 connect server:1
        client:2 dial test:1
        test:$t accept client:2
        client:2 connect test:$t
        test:$t close client:2
        client:2 close test:$t
        server:1 close client:1
        ! kill server
        client:1 close server:1
        ",
    );
    Ok(())
}

#[lonet::test]
async fn two_hundred_connections_at_once(scenario: Scenario) -> Result<()> {
    if !are_here(&[PYTHON]) {
        return Ok(());
    }
    let serves = python(
        "
        import asyncio
        met = asyncio.Event()
        here = 0
        async def serve(reader, writer):
            global here
            line = await reader.readline()
            here += 1
            if here == 200:
                met.set()
            await met.wait()
            writer.write(line.upper())
            await writer.drain()
            writer.close()
        async def main():
            async with await asyncio.start_server(serve, '', 80, backlog=1000) as server:
                await server.serve_forever()
        asyncio.run(main())
        ",
    );
    let dials = python(
        "
        import asyncio
        async def ask(n):
            reader, writer = await asyncio.open_connection('server', 80)
            writer.write(b'number %d\\n' % n)
            answer = await reader.read()
            writer.close()
            assert answer == b'NUMBER %d\\n' % n, answer
        async def main():
            await asyncio.gather(*[ask(n) for n in range(200)])
        asyncio.run(main())
        print('all')
        ",
    );
    let server = scenario.spawn("server", serves).await?;
    scenario.until("server:80 listen").await?;
    assert_eq!(printed(&scenario, "client", dials).await?, "all\n");
    server.kill().await?;
    let trace = scenario.trace();
    for pattern in [
        "client:_ dial server:80",
        "server:_ accept client:_",
        "client:_ connect server:_",
        "server:_ close client:_",
        "client:_ close server:_",
    ] {
        assert_eq!(trace.count(pattern)?, 200, "{pattern}");
    }
    Ok(())
}
