//! Holds lonet's streams and listeners to what tokio's promise: the same bounds, and one body of
//! code, written once, that runs over tokio's TCP, lonet over loopback, and lonet in memory.
//! Where tokio's own types fail an expectation, the expectation is wrong.
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed"
)]

use std::fmt::Debug;
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::panic::{RefUnwindSafe, UnwindSafe};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};

/// Each bound holds of tokio's type, and of ours.
macro_rules! same_bounds {
    ($($tokio:ty, $ours:ty: $($bound:ident)+;)*) => {
        $({
            fn holds<T: $($bound +)+ 'static>() {}
            holds::<$tokio>();
            holds::<$ours>();
        })*
    };
}

#[test]
fn the_same_bounds() {
    use tokio::net::{TcpListener, TcpStream, tcp};
    same_bounds! {
        TcpStream, lonet::Stream: AsyncRead AsyncWrite Unpin Send Sync Debug UnwindSafe RefUnwindSafe;
        tcp::OwnedReadHalf, lonet::OwnedReadHalf: AsyncRead Unpin Send Sync Debug;
        tcp::OwnedWriteHalf, lonet::OwnedWriteHalf: AsyncWrite Unpin Send Sync Debug;
        tcp::ReadHalf<'static>, lonet::ReadHalf<'static>: AsyncRead Unpin Send Sync Debug;
        tcp::WriteHalf<'static>, lonet::WriteHalf<'static>: AsyncWrite Unpin Send Sync Debug;
        tcp::ReuniteError, lonet::ReuniteError: Send Sync Debug;
        TcpListener, lonet::Listener: Unpin Send Sync Debug UnwindSafe RefUnwindSafe;
    }
}

/// A future that a spawned task may hold.
fn is_send<T: Send>(value: T) -> T {
    value
}

/// The body: `$listener` accepts what `$dial` dials. Generic code could not name both families'
/// inherent methods; a macro can.
macro_rules! same_behaviour {
    ($listener:expr, $dial:expr) => {{
        let listener = $listener;
        // A dropped accept loses nothing.
        assert!(tokio::select! { biased; _ = is_send(listener.accept()) => false, () = async {} => true });
        let (dialed, accepted) = tokio::join!($dial, is_send(listener.accept()));
        let (mut dialed, mut accepted) = (dialed, accepted!(accepted));
        let mut buf = [0; 8];

        // Nothing there yet: reads say so, and do not wait.
        assert_eq!(accepted.try_read(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(dialed.ready(Interest::WRITABLE).await.unwrap().is_writable());

        // What is peeked stays, however often.
        dialed.write_all(b"abcdef").await.unwrap();
        assert_eq!(is_send(accepted.peek(&mut buf)).await.unwrap(), 6);
        assert_eq!(accepted.peek(&mut buf[..1]).await.unwrap(), 1);
        is_send(accepted.readable()).await.unwrap();
        let (mut one, mut two) = ([0; 2], [0; 2]);
        let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!(accepted.try_read_vectored(&mut bufs).unwrap(), 4);
        assert_eq!((&one, &two), (b"ab", b"cd"));
        assert_eq!(accepted.try_read(&mut buf).unwrap(), 2);

        let mut grown = b"gh".to_vec();
        assert_eq!(accepted.try_read_buf(&mut grown).unwrap_err().kind(), ErrorKind::WouldBlock);
        dialed.write_all(b"ij").await.unwrap();
        assert_eq!(accepted.peek(&mut buf).await.unwrap(), 2);
        assert_eq!(accepted.try_read_buf(&mut grown).unwrap(), 2);
        assert_eq!(grown, b"ghij");

        // A dropped read loses nothing, nor does a dropped readable.
        assert!(tokio::select! { biased; _ = accepted.read(&mut buf) => false, () = async {} => true });
        assert!(tokio::select! { biased; _ = accepted.readable() => false, () = async {} => true });
        is_send(dialed.writable()).await.unwrap();
        assert!(AsyncWrite::is_write_vectored(&dialed));
        let slices = [IoSlice::new(b"x"), IoSlice::new(b""), IoSlice::new(b"yz")];
        assert_eq!(dialed.try_write_vectored(&slices).unwrap(), 3);
        accepted.read_exact(&mut buf[..3]).await.unwrap();
        assert_eq!(&buf[..3], b"xyz");

        // Borrowed halves, both at work.
        {
            let (mut reader, mut writer) = accepted.split();
            let (mut other_reader, mut other_writer) = dialed.split();
            let (read, written) = tokio::join!(reader.read_u8(), other_writer.write_u8(7));
            written.unwrap();
            assert_eq!(read.unwrap(), 7);
            writer.write_u8(8).await.unwrap();
            assert_eq!(other_reader.peek(&mut buf).await.unwrap(), 1);
            assert_eq!(other_reader.read_u8().await.unwrap(), 8);
        }

        // Owned halves in two tasks; those of two connections do not reunite.
        let (mut reader, mut writer) = dialed.into_split();
        let (other_reader, other_writer) = accepted.into_split();
        let Err(error) = reader.reunite(other_writer) else { panic!("halves of two connections") };
        let (first, other_writer) = (error.0, error.1);
        reader = first;
        let mut accepted = other_reader.reunite(other_writer).unwrap();
        let writing = tokio::spawn(async move {
            writer.write_all(&[1; 100_000]).await.unwrap();
            writer
        });
        let mut all = vec![0; 100_000];
        accepted.read_exact(&mut all).await.unwrap();
        let mut dialed = reader.reunite(writing.await.unwrap()).unwrap();

        // Half-close: one direction ends, the other goes on; EOF stays.
        dialed.shutdown().await.unwrap();
        for _ in 0..2 {
            assert_eq!(accepted.read(&mut buf).await.unwrap(), 0);
        }
        assert_eq!(dialed.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        accepted.write_all(b"bye").await.unwrap();
        drop(accepted);
        let mut rest = String::new();
        dialed.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "bye");

        // poll_accept wakes its task.
        let accept = std::future::poll_fn(|cx| listener.poll_accept(cx));
        let (_dialed, accepted) = tokio::join!($dial, accept);
        drop(accepted!(accepted));
    }};
}

#[tokio::test]
async fn tokio_itself() {
    macro_rules! accepted {
        ($accepted:expr) => {
            $accepted.unwrap().0
        };
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    same_behaviour!(listener, async {
        tokio::net::TcpStream::connect(addr).await.unwrap()
    });
}

async fn ours(net: lonet::SubNetwork) {
    macro_rules! accepted {
        ($accepted:expr) => {
            $accepted.unwrap()
        };
    }
    let alpha = net.new_host("α").await.unwrap();
    let beta = net.new_host("β").await.unwrap();
    let listener = alpha.listen(":10").await.unwrap();
    same_behaviour!(listener, async { beta.dial("α:10").await.unwrap() });
}

#[tokio::test]
async fn lonet_over_loopback() {
    ours(lonet::join("").await.unwrap()).await;
}

#[tokio::test]
async fn lonet_in_memory() {
    ours(lonet::pipenet::network("x")).await;
}
