//! What faults order in a trace. Their lines are `fault_lines`' business.

use lonet::trace::{EventId, Verb};

use super::world::{End, T, TEST, World};
use crate::trace::Trace;

/// What connects α and β.
pub(super) struct Connected {
    pub(super) w: World,
    pub(super) alpha: T,
    pub(super) beta: T,
    /// α's end, which accepted.
    pub(super) server: End,
    pub(super) client: End,
}

pub(super) fn connected() -> Connected {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let listener = w.listen(alpha, 10);
    let dial = w.dial(beta, "α:10");
    let server = w.accept(alpha, listener, dial);
    let client = w.connect(beta, dial);
    Connected {
        w,
        alpha,
        beta,
        server,
        client,
    }
}

/// The past of everything.
pub(super) fn whole(w: &mut World, of: &[T]) -> Trace {
    for task in of {
        w.join(*task);
    }
    w.trace()
}

pub(super) fn before(w: &World, a: EventId, b: EventId) -> (bool, bool) {
    let graph = w.graph();
    let (node, other) = (graph.node(a).unwrap(), graph.node(b).unwrap());
    (
        graph.reaches(node, other),
        graph.reaches_in_run(node, other),
    )
}

#[test]
fn a_fault_orders_nothing_but_what_has_learned_of_it() {
    let Connected {
        mut w, alpha, beta, ..
    } = connected();
    let driver = w.task(TEST);
    let early = w.mark(alpha, "early");
    let fault = w.fault(driver, Verb::Partition, "α", "_");
    let heal = w.fault(driver, Verb::Heal, "α", "_");
    let other = w.mark(alpha, "other");
    let reader = w.task(beta);
    w.until(reader, fault);
    w.until(reader, heal);
    let read = w.mark(reader, "read");
    assert_eq!(before(&w, fault, heal), (true, true));
    for event in [early, other] {
        assert_eq!(before(&w, fault, event), (false, false));
        assert_eq!(before(&w, event, fault), (false, false));
    }
    for event in [fault, heal] {
        assert_eq!(before(&w, event, read), (true, true));
    }
}

#[test]
fn a_fault_comes_after_the_event_that_set_it_off_once_it_has_learned_of_it() {
    let Connected { mut w, alpha, .. } = connected();
    let mark = w.mark(alpha, "applied");
    w.set_off(mark, 1);
    let one = w.task(TEST);
    let first = w.fault(one, Verb::Cut, "α", "β");
    let two = w.task(TEST);
    w.until(two, mark);
    let second = w.fault(two, Verb::Cut, "α", "β");
    // That it set something off orders nothing by itself.
    assert_eq!(before(&w, mark, first), (false, false));
    assert_eq!(before(&w, mark, second), (true, true));
}

#[test]
fn all_of_a_lost_host_comes_before_its_vanish() {
    let Connected {
        mut w,
        alpha,
        beta,
        server,
        client,
    } = connected();
    let alone = w.task(alpha);
    let mark = w.mark(alone, "alone");
    w.write(alpha, server, 4);
    let sent = w.mark(alpha, "sent");
    let vanish = w.vanish(alpha);
    assert_eq!(before(&w, mark, vanish), (true, true));
    assert_eq!(before(&w, sent, vanish), (true, true));
    // What had arrived is read; that there is no more says nothing.
    w.read(beta, client, 4);
    w.read(beta, client, 0);
    let after = w.mark(beta, "after");
    for event in [vanish, mark, sent] {
        assert_eq!(before(&w, event, after), (false, false));
    }
}

/// Bytes that never left are not what the reader had.
#[test]
fn the_end_of_a_stream_from_a_lost_host_is_not_a_byte() {
    let Connected {
        mut w,
        alpha,
        beta,
        server,
        client,
    } = connected();
    w.write(alpha, server, 4);
    let learned = w.mark(alpha, "learned");
    // The note is written, the bytes are not.
    w.write(alpha, server, 0);
    w.vanish(alpha);
    w.read(beta, client, 4);
    w.read(beta, client, 0);
    let after = w.mark(beta, "after");
    assert_eq!(before(&w, learned, after), (false, false));
    // The same of a host that was killed: there the end says that it is dead.
    let Connected {
        mut w,
        alpha,
        beta,
        server,
        client,
    } = connected();
    w.write(alpha, server, 4);
    let learned = w.mark(alpha, "learned");
    w.write(alpha, server, 0);
    w.kill(alpha);
    w.read(beta, client, 4);
    w.read(beta, client, 0);
    let after = w.mark(beta, "after");
    assert_eq!(before(&w, learned, after), (true, true));
}

/// The other side's close may come before or after that, as time has it.
#[test]
fn a_stream_that_a_fault_ends_does_not_come_after_the_others_close() {
    let reset = |w: &mut World, server, driver| w.reset(driver, server);
    let limit = |w: &mut World, _, driver| w.fault(driver, Verb::Limit, "α", "β 4");
    let faults: [fn(&mut World, End, T) -> EventId; 2] = [reset, limit];
    for fault in faults {
        let Connected {
            mut w,
            alpha,
            beta,
            server,
            client,
        } = connected();
        let before_write = w.mark(alpha, "before");
        w.write(alpha, server, 4);
        let driver = w.task(TEST);
        let fault = fault(&mut w, server, driver);
        let late = w.mark(alpha, "late");
        w.close(alpha, server);
        w.read(beta, client, 4);
        w.settle(beta, client);
        w.read(beta, client, 0);
        w.until(beta, fault);
        let after = w.mark(beta, "after");
        // It is read again, and learns of nothing more.
        w.read(beta, client, 0);
        let again = w.mark(beta, "again");
        w.close(beta, client);
        let closed = w.latest(beta);
        assert_eq!(before(&w, before_write, after), (true, true));
        for event in [after, again, closed] {
            assert_eq!(before(&w, late, event), (false, false));
            assert_eq!(before(&w, fault, event), (true, true));
        }
    }
    // Without a fault, or to another, the end is the close.
    for other in [None, Some("β α 4"), Some("α γ 4"), Some("α:2 _ 4")] {
        let Connected {
            mut w,
            alpha,
            beta,
            server,
            client,
        } = connected();
        if let Some((from, text)) = other.and_then(|fault| fault.split_once(' ')) {
            let fault = w.fault(TEST, Verb::Limit, from, text);
            w.until(beta, fault);
        }
        let late = w.mark(alpha, "late");
        w.close(alpha, server);
        w.read(beta, client, 0);
        let after = w.mark(beta, "after");
        assert_eq!(before(&w, late, after), (true, true), "{other:?}");
    }
}

/// A write that failed has learned of it, the read that finds the end says no more.
#[test]
fn a_process_learns_once_that_a_connection_was_reset() {
    let Connected {
        mut w,
        alpha,
        beta,
        server,
        client,
    } = connected();
    let fault = w.reset(TEST, server);
    w.until(beta, fault);
    w.mark(beta, "the write failed");
    let late = w.mark(alpha, "late");
    w.close(alpha, server);
    w.read(beta, client, 0);
    let after = w.mark(beta, "after");
    assert_eq!(before(&w, late, after), (false, false));
    // The next connection with these addresses is another.
    w.close(beta, client);
    let listener = w.listen(alpha, 11);
    let dial = w.dial(beta, "α:11");
    let server = w.accept(alpha, listener, dial);
    let client = w.connect(beta, dial);
    let late = w.mark(alpha, "late");
    w.close(alpha, server);
    let closed = w.latest(alpha);
    w.read(beta, client, 0);
    let after = w.mark(beta, "after");
    assert_eq!(before(&w, late, after), (true, true));
    let graph = w.graph();
    let line = graph
        .event(graph.node(closed).unwrap())
        .unwrap()
        .to_string();
    assert_eq!(line, "α:1 close β:1");
}
