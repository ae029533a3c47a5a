//! The calls and returns that clients of a register marked, as a history for stateright, which judges
//! it. Owns nothing of what linearizable means.

use lonet_harness::{Result, Trace, Verb};
use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

/// Host and text of each mark, by the clock that all processes share. Whether an operation was over
/// before another one began is a matter of real time, so causes would say too little.
pub(crate) fn marks(trace: &Trace) -> Vec<(String, String)> {
    let marks = trace.clone().only_verbs(&[Verb::Mark]);
    let mut marks: Vec<_> = marks.events().iter().collect();
    marks.sort_by_key(|mark| mark.time_ns());
    let shown = marks.iter();
    shown
        .map(|mark| (mark.host().to_owned(), mark.text().to_owned()))
        .collect()
}

/// Fails, and shows the history, unless it is one of a linearizable register that holds 0 at first.
pub(crate) fn assert_linearizable(marks: &[(String, String)]) -> Result<()> {
    let mut history = LinearizabilityTester::new(Register(0));
    for (client, text) in marks {
        add(&mut history, client, text)?;
    }
    if history.is_consistent() {
        return Ok(());
    }
    let shown: Vec<String> = marks
        .iter()
        .map(|(host, text)| format!("{host} {text}"))
        .collect();
    Err(format!("not linearizable: {}", shown.join(", ")).into())
}

/// Each client is a thread of the history: it calls, and nothing else before that has returned.
fn add<'a>(
    history: &mut LinearizabilityTester<&'a str, Register<u64>>,
    client: &'a str,
    text: &str,
) -> Result<()> {
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["calls", "write", value] => {
            history.on_invoke(client, RegisterOp::Write(value.parse()?))?;
        }
        ["returns", "write"] => {
            history.on_return(client, RegisterRet::WriteOk)?;
        }
        ["calls", "read"] => {
            history.on_invoke(client, RegisterOp::Read)?;
        }
        ["returns", "read", value] => {
            history.on_return(client, RegisterRet::ReadOk(value.parse()?))?;
        }
        _ => return Err(format!("neither a call nor a return: {client} {text}").into()),
    }
    Ok(())
}
