//! Makes a long story short: what can be left out is left out, as long as something is still wrong.

use crate::story::{Act, Ask, Fate, Step};

/// The shortest program in which something is still wrong, and how often it was tried.
pub(crate) fn shrink(program: &[Step], is_wrong: impl Fn(&[Step]) -> bool) -> Vec<Step> {
    let mut program = program.to_vec();
    loop {
        let before = program.clone();
        let mut size = program.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < program.len() {
                let mut shorter = program.clone();
                shorter.drain(at..(at + size).min(program.len()));
                match is_wrong(&shorter) {
                    true => program = shorter,
                    false => at += size,
                }
            }
            size /= 2;
        }
        for at in 0..program.len() {
            for simpler in simpler(&program[at]) {
                let mut other = program.clone();
                other[at] = simpler;
                if is_wrong(&other) {
                    program = other;
                }
            }
        }
        if program == before {
            return program;
        }
    }
}

fn simpler(step: &Step) -> Vec<Step> {
    match step {
        Step::Both(first, second, _) => vec![Step::Ask(first.clone()), Step::Ask(second.clone())],
        Step::Ask(ask) => {
            let mut simpler = Vec::new();
            if ask.fate != Fate::Fine {
                simpler.push(Step::Ask(Ask { fate: Fate::Fine, ..ask.clone() }));
            }
            if let Fate::Trouble(troubles) = &ask.fate
                && troubles.len() > 1
            {
                let alone = troubles.iter().map(|trouble| Fate::Trouble(vec![*trouble]));
                simpler.extend(alone.map(|fate| Step::Ask(Ask { fate, ..ask.clone() })));
            }
            if ask.server != 0 {
                simpler.push(Step::Ask(Ask { server: 0, ..ask.clone() }));
            }
            simpler
        }
        Step::Import(ask, order) if ask.act != Act::Look => {
            vec![Step::Import(Ask { act: Act::Look, ..ask.clone() }, *order)]
        }
        Step::Kill(_) => vec![Step::Restart],
        Step::Wait(seconds) if *seconds > 1 => vec![Step::Wait(1), Step::Wait(seconds / 2)],
        _ => Vec::new(),
    }
}
