//! What a connection does with bytes.

use std::io::{ErrorKind, IoSlice};
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};

use super::*;

/// So long waits only what waits for ever.
const TOO_LONG: Duration = Duration::from_secs(20);

async fn pair(net: &SubNetwork) -> (Stream, Stream) {
    let (alpha, beta) = hosts(net).await;
    let listener = alpha.listen(":10").await.unwrap();
    connect(&alpha, &beta, &listener).await
}

rules! {
    async fn bytes_arrive_whole_and_in_order(net: SubNetwork) {
        let (mut dialed, mut accepted) = pair(&net).await;
        let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            dialed.write_all(&sent).await.unwrap();
            dialed
        });
        let mut received = vec![0; expected.len()];
        accepted.read_exact(&mut received).await.unwrap();
        assert!(received == expected);
        drop(writing.await.unwrap());
        assert_eq!(accepted.read(&mut [0; 1]).await.unwrap(), 0);
    }

    async fn half_close(net: SubNetwork) {
        let (mut dialed, mut accepted) = pair(&net).await;
        dialed.write_all(b"question").await.unwrap();
        dialed.shutdown().await.unwrap();
        let mut question = String::new();
        accepted.read_to_string(&mut question).await.unwrap();
        accepted.write_all(question.to_uppercase().as_bytes()).await.unwrap();
        drop(accepted);
        let mut answer = String::new();
        dialed.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "QUESTION");
    }

    async fn a_dropped_write_half_shuts_down_writing(net: SubNetwork) {
        let (dialed, mut accepted) = pair(&net).await;
        let (mut reader, mut writer) = dialed.into_split();
        writer.write_all(b"x").await.unwrap();
        drop(writer);
        assert_eq!(accepted.read_to_end(&mut Vec::new()).await.unwrap(), 1);
        accepted.write_all(b"y").await.unwrap();
        assert_eq!(reader.read(&mut [0; 4]).await.unwrap(), 1);
        // The port is taken until both halves are gone.
        let beta = net.host("β").unwrap();
        assert_eq!(beta.listen("").await.unwrap().addr().port(), 2);
        drop(reader);
        assert_eq!(beta.listen("").await.unwrap().addr().port(), 1);
    }

    async fn a_forgotten_write_half_ends_nothing(net: SubNetwork) {
        let (dialed, mut accepted) = pair(&net).await;
        let (mut reader, writer) = dialed.into_split();
        writer.forget();
        accepted.write_all(b"x").await.unwrap();
        assert_eq!(reader.read(&mut [0; 2]).await.unwrap(), 1);
        let mut buffer = [0; 2];
        {
            let mut read = Box::pin(accepted.read(&mut buffer));
            for _ in 0..10 {
                assert_pending!(read);
                tokio::task::yield_now().await;
            }
        }
        drop(reader);
        assert_eq!(accepted.read(&mut buffer).await.unwrap(), 0);
    }

    async fn halves_reunite(net: SubNetwork) {
        let (dialed, accepted) = pair(&net).await;
        let (reader, writer) = dialed.into_split();
        let (other_reader, _other_writer) = accepted.into_split();
        let error = other_reader.reunite(writer).unwrap_err();
        let mut dialed = reader.reunite(error.1).unwrap();
        dialed.write_all(b"x").await.unwrap();
    }

    async fn borrowed_halves(net: SubNetwork) {
        let (mut dialed, mut accepted) = pair(&net).await;
        {
            let (mut reader, mut writer) = dialed.split();
            let (mut other_reader, mut other_writer) = accepted.split();
            writer.write_all(b"x").await.unwrap();
            other_reader.read_exact(&mut [0]).await.unwrap();
            other_writer.write_all(b"y").await.unwrap();
            reader.read_exact(&mut [0]).await.unwrap();
        }
        dialed.write_all(b"z").await.unwrap();
        accepted.read_exact(&mut [0]).await.unwrap();
    }

    async fn peek_leaves_the_bytes(net: SubNetwork) {
        let (mut dialed, mut accepted) = pair(&net).await;
        dialed.write_all(b"abc").await.unwrap();
        let mut seen = [0; 8];
        assert_eq!(accepted.peek(&mut seen).await.unwrap(), 3);
        assert_eq!(accepted.peek(&mut seen[..2]).await.unwrap(), 2);
        assert_eq!(accepted.read(&mut seen).await.unwrap(), 3);
        assert_eq!(&seen[..3], b"abc");
    }

    async fn reading_nothing_waits_for_nothing_and_is_no_end(net: SubNetwork) {
        let (mut dialed, mut accepted) = pair(&net).await;
        assert_eq!(accepted.try_read(&mut []).unwrap(), 0);
        let nothing = async { accepted.read(&mut []).await };
        assert_eq!(tokio::time::timeout(TOO_LONG, nothing).await.unwrap().unwrap(), 0);
        dialed.write_all(b"x").await.unwrap();
        assert_eq!(accepted.read(&mut [0; 2]).await.unwrap(), 1);
    }

    async fn readiness_tells_the_truth(net: SubNetwork) {
        let (dialed, accepted) = pair(&net).await;
        let mut buffer = [0; 8];
        assert_eq!(accepted.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        dialed.writable().await.unwrap();
        assert_eq!(dialed.try_write(b"abc").unwrap(), 3);
        accepted.readable().await.unwrap();
        assert!(accepted.ready(Interest::READABLE).await.unwrap().is_readable());
        assert_eq!(accepted.try_read(&mut buffer).unwrap(), 3);
        assert_eq!(accepted.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(dialed);
        accepted.readable().await.unwrap();
        assert_eq!(accepted.try_read(&mut buffer).unwrap(), 0);
    }

    async fn all_who_wait_are_woken(net: SubNetwork) {
        let (mut dialed, accepted) = pair(&net).await;
        let accepted = std::sync::Arc::new(accepted);
        let waits = [accepted.clone(), accepted].map(|stream| {
            tokio::spawn(async move { stream.readable().await })
        });
        tokio::task::yield_now().await;
        dialed.write_all(b"x").await.unwrap();
        for wait in waits {
            tokio::time::timeout(TOO_LONG, wait).await.unwrap().unwrap().unwrap();
        }
    }

    /// Whoever polled before may be gone.
    async fn of_a_poll_the_latest_waker_is_woken(net: SubNetwork) {
        let (mut dialed, mut accepted) = pair(&net).await;
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(pin!(accepted.read_u8()).poll(&mut nobody).is_pending());
        let read = tokio::spawn(async move { accepted.read_u8().await });
        tokio::task::yield_now().await;
        dialed.write_all(b"x").await.unwrap();
        let read = tokio::time::timeout(TOO_LONG, read).await.unwrap();
        assert_eq!(read.unwrap().unwrap(), b'x');
    }

    async fn readiness_tells_of_the_end(net: SubNetwork) {
        let (dialed, mut accepted) = pair(&net).await;
        assert!(!accepted.ready(Interest::WRITABLE).await.unwrap().is_write_closed());
        accepted.shutdown().await.unwrap();
        drop(dialed);
        let ended = async {
            while !accepted.ready(Interest::READABLE).await.unwrap().is_read_closed() {
                tokio::task::yield_now().await;
            }
            while !accepted.ready(Interest::WRITABLE).await.unwrap().is_write_closed() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(TOO_LONG, ended).await.unwrap();
    }

    async fn a_full_connection_is_not_writable(net: SubNetwork) {
        let (dialed, mut accepted) = pair(&net).await;
        dialed.writable().await.unwrap();
        let mut sent = 0;
        loop {
            match dialed.try_write(&[7; 4096]) {
                Ok(n) => sent += n,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    break;
                }
            }
            assert!(sent < 64 << 20, "64 MiB unread, and still writable");
        }
        let mut writable = Box::pin(dialed.writable());
        assert_pending!(writable);
        let mut received = vec![0; sent];
        accepted.read_exact(&mut received).await.unwrap();
        writable.await.unwrap();
    }

    async fn vectored_writes(net: SubNetwork) {
        let (mut dialed, mut accepted) = pair(&net).await;
        assert!(dialed.is_write_vectored());
        let n = dialed.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cd")]).await.unwrap();
        assert_eq!(n, 4);
        let n = dialed.try_write_vectored(&[IoSlice::new(b"ef")]).unwrap();
        assert_eq!(n, 2);
        let mut all = [0; 6];
        accepted.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"abcdef");
    }

    async fn what_was_written_before_a_close_is_read(net: SubNetwork) {
        let (mut dialed, mut accepted) = pair(&net).await;
        dialed.write_all(b"last words").await.unwrap();
        dialed.close().await.unwrap();
        let mut text = String::new();
        accepted.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "last words");
    }

    async fn write_then_write_then_read_does_not_wait(net: SubNetwork) {
        let (mut dialed, mut accepted) = pair(&net).await;
        let echo = tokio::spawn(async move {
            let mut two = [0; 2];
            while accepted.read_exact(&mut two).await.is_ok() {
                accepted.write_all(&two).await.unwrap();
            }
        });
        for _ in 0..50 {
            dialed.write_all(b"a").await.unwrap();
            dialed.write_all(b"b").await.unwrap();
            dialed.read_exact(&mut [0; 2]).await.unwrap();
        }
        drop(dialed);
        echo.await.unwrap();
    }
}
