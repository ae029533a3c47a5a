//! Whether a program can join a network by itself: whether lonet is in its executable.
//!
//! Owns looking there. It is asked of a process that runs, so that the file is the one that was
//! found, wherever `PATH` found it. What follows from the answer is `node`'s business.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// What `lonet::from_env` reads is named in every executable that has it; here it is not written as
/// a whole, so that it is in no other.
const FIRST: u8 = b'L';
const REST: &[u8] = b"ONET_NETWORK";

/// Whether the executable of that process holds lonet: a shell, an interpreter or a foreign server
/// does not, whatever it may run later. False also when it has ended.
pub(crate) fn holds_lonet(pid: u32) -> bool {
    File::open(format!("/proc/{pid}/exe"))
        .and_then(search)
        .unwrap_or(false)
}

/// An executable's constants are in its segments that are neither code nor variables; without
/// them, a linker has put them beside the code.
fn search(mut file: File) -> io::Result<bool> {
    const READ: u32 = 4;
    const READ_EXECUTE: u32 = 5;
    let segments = segments(&mut file)?;
    for wanted in [READ, READ_EXECUTE] {
        let some = segments.iter().filter(|segment| segment.flags == wanted);
        let mut any = false;
        for segment in some {
            any = true;
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(segment.offset))?;
            (&file).take(segment.size).read_to_end(&mut bytes)?;
            if holds(&bytes)? {
                return Ok(true);
            }
        }
        if any {
            break;
        }
    }
    Ok(false)
}

/// By way of a reader, whose search for a byte is fast also where nothing is optimised.
fn holds(mut bytes: &[u8]) -> io::Result<bool> {
    while bytes.skip_until(FIRST)? > 0 {
        if bytes.starts_with(REST) {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Segment {
    flags: u32,
    offset: u64,
    size: u64,
}

/// What is loaded of an ELF file of 64 bits; nothing of any other.
fn segments(file: &mut File) -> io::Result<Vec<Segment>> {
    const LOAD: u32 = 1;
    let mut header = [0; 64];
    file.read_exact(&mut header)?;
    if !header.starts_with(b"\x7fELF\x02") {
        return Ok(Vec::new());
    }
    let (start, size, count) = (
        u64_at(&header, 32),
        u64::from(u16_at(&header, 54)),
        u64::from(u16_at(&header, 56)),
    );
    let mut segments = Vec::new();
    for index in 0..count {
        let mut entry = [0; 56];
        file.seek(SeekFrom::Start(start + index * size))?;
        file.read_exact(&mut entry)?;
        if u32_at(&entry, 0) == LOAD {
            segments.push(Segment {
                flags: u32_at(&entry, 4),
                offset: u64_at(&entry, 8),
                size: u64_at(&entry, 32),
            });
        }
    }
    Ok(segments)
}

// Of this machine's byte order, as it runs here.

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_with_lonet_is_known() {
        // A role's process needs it, so this binary has it.
        assert!(holds_lonet(std::process::id()));
    }

    #[test]
    fn a_binary_without_is_known() {
        let shell = File::open("/bin/sh").and_then(search);
        assert!(!shell.unwrap());
        assert!(!search(File::open("/proc/self/status").unwrap()).unwrap_or(false));
    }

    #[test]
    fn a_needle_is_found_wherever_it_lies() {
        let whole = [&[FIRST], REST].concat();
        for before in ["", "x", "L", "LONET_", "LONET_NETWOR"] {
            let text = [before.as_bytes(), &whole, b"x"].concat();
            assert!(holds(&text).unwrap(), "{before}");
            assert!(!holds(before.as_bytes()).unwrap(), "{before}");
        }
    }
}
