//! Writes all mutants of a file into it at once. Each asks when it is run whether it is the one that is to be active.
//!
//! `a && b` becomes `(on(7) ^ ((on(7) ^ (a)) && (on(7) ^ (b))))`, which is `a || b` where mutant 7 is active: no operand stands
//! there twice, so what is nested does not grow.

use std::collections::BTreeMap;

use crate::list::{Kind, Mutant};
use crate::syntax::{Found, Part, Syntax};

/// A file with its mutants.
pub struct Woven {
    pub text: String,
    /// What was written for which mutants: the compiler's errors are theirs.
    pub written: Vec<(Part, Vec<u32>)>,
    /// Which code they change. The longest come first.
    pub changed: Vec<(Part, Kind, Vec<u32>)>,
    /// Those that cannot be woven.
    pub left_out: Vec<u32>,
}

/// Something else for a part of the code, which may be empty.
struct Edit {
    part: Part,
    text: String,
    /// At one place: what ends there first, the shortest first; then what begins there, the longest first.
    order: (u8, i64),
    mutants: Vec<u32>,
}

pub fn weave(source: &str, mutants: &[&Mutant]) -> Woven {
    let found = Found::parse(source);
    // those of one place share what is written there
    let mut places: BTreeMap<(Kind, usize), Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        places.entry((mutant.kind, found.byte(mutant.start))).or_default().push(mutant);
    }
    let mut edits = Edits { source, edits: Vec::new() };
    let (mut changed, mut left_out) = (Vec::new(), Vec::new());
    for ((kind, byte), mutants) in places {
        let numbers: Vec<u32> = mutants.iter().map(|mutant| mutant.number).collect();
        match found.at(kind, byte).and_then(|syntax| edits.write(byte, syntax, &mutants)) {
            Some(whole) => changed.push((whole, kind, numbers)),
            None => left_out.extend(numbers),
        }
    }
    edits.put_together(changed, left_out)
}

/// The code that asks whether a mutant is active.
fn on(number: u32) -> String {
    format!("crate::woven::on({number})")
}

/// `if`s for all mutants of a place, and what is there without them.
fn choice(mutants: &[&Mutant], broken: impl Fn(&Mutant) -> String, sound: String) -> String {
    let cases = mutants.iter().map(|mutant| format!("if {} {{ {} }} else ", on(mutant.number), broken(mutant)));
    format!("{}{{ {sound} }}", cases.collect::<String>())
}

struct Edits<'s> {
    source: &'s str,
    edits: Vec<Edit>,
}

impl Edits<'_> {
    /// Writes the mutants of one place. Returns which code they change.
    fn write(&mut self, byte: usize, syntax: &Syntax, mutants: &[&Mutant]) -> Option<Part> {
        let numbers: Vec<u32> = mutants.iter().map(|mutant| mutant.number).collect();
        match syntax {
            Syntax::Function if mutants[0].returns_impl => None,
            Syntax::Function => {
                for mutant in mutants {
                    let text = format!("if {} {{ return {}; }} ", on(mutant.number), mutant.replacement);
                    self.edits.push(Edit {
                        part: byte..byte,
                        text,
                        order: (2, i64::MIN),
                        mutants: vec![mutant.number],
                    });
                }
                Some(byte..byte)
            }
            Syntax::Binary { left, operator, right, is_assignment } => {
                self.binary(left, operator, right, *is_assignment, mutants);
                Some(left.start..right.end)
            }
            Syntax::Unary { operator, operand } => {
                let whole = operator.start..operand.end;
                let asks = on(numbers[0]);
                if &self.source[operator.clone()] == "!" {
                    self.around(&whole, 0, format!("({asks} ^ ("), "))".to_owned(), &numbers);
                } else {
                    let sign = &self.source[operator.clone()];
                    self.replace(operator, "(match (".to_owned(), &numbers);
                    let text = format!(") {{ it => if {asks} {{ it }} else {{ {sign}it }} }})");
                    self.after(&whole, 0, text, &numbers);
                }
                Some(whole)
            }
            Syntax::Guard { condition } => {
                for mutant in mutants {
                    let asks = on(mutant.number);
                    let before = match mutant.replacement.as_str() {
                        "true" => format!("({asks} || ("),
                        _ => format!("(!{asks} && ("),
                    };
                    self.around(condition, 0, before, "))".to_owned(), &[mutant.number]);
                }
                Some(condition.clone())
            }
            Syntax::Arm { pattern, guard, whole } => {
                let asks = on(numbers[0]);
                match guard {
                    Some(guard) => self.around(guard, 1, format!("!{asks} && ("), ")".to_owned(), &numbers),
                    None => self.after(pattern, 1, format!(" if !{asks}"), &numbers),
                }
                Some(whole.clone())
            }
            Syntax::Field { name, value, end, rest } => {
                let other = format!("if {} {{ ({}).{name} }} else {{ ", on(numbers[0]), &self.source[rest.clone()]);
                match value {
                    Some(value) => self.around(value, 1, other, " }".to_owned(), &numbers),
                    None => self.after(&(byte..*end), 0, format!(": {other}{name} }}"), &numbers),
                }
                Some(byte..*end)
            }
        }
    }

    fn binary(&mut self, left: &Part, operator: &Part, right: &Part, is_assignment: bool, mutants: &[&Mutant]) {
        let numbers: Vec<u32> = mutants.iter().map(|mutant| mutant.number).collect();
        let whole = left.start..right.end;
        let sign = &self.source[operator.clone()];
        let asks = on(numbers[0]);
        match sign {
            "&&" | "||" if mutants.len() == 1 => {
                self.before(&whole, 0, format!("({asks} ^ ("), &numbers);
                self.around(left, 1, format!("({asks} ^ ("), "))".to_owned(), &numbers);
                self.around(right, 1, format!("({asks} ^ ("), "))".to_owned(), &numbers);
                self.after(&whole, 0, "))".to_owned(), &numbers);
            }
            "==" | "!=" if mutants.len() == 1 => {
                self.around(&whole, 0, format!("({asks} ^ ("), "))".to_owned(), &numbers);
            }
            _ if is_assignment => {
                // what is assigned to is written anew each time
                let place = &self.source[left.clone()];
                self.edits.retain(|edit| edit.part.end <= left.start || edit.part.start >= left.end);
                let assign = |sign: &str| format!("{place} {sign} woven_by");
                let text = choice(mutants, |mutant| assign(&mutant.replacement), assign(sign));
                self.replace(&(left.start..right.start), "(match (".to_owned(), &numbers);
                self.after(&whole, 0, format!(") {{ woven_by => {text} }})"), &numbers);
            }
            _ => {
                // a comparison borrows what it compares
                let (borrow, look) =
                    if ["<", "<=", ">", ">=", "==", "!="].contains(&sign) { ("&", "*") } else { ("", "") };
                let compute = |sign: &str| format!("{look}woven_left {sign} {look}woven_right");
                let text = choice(mutants, |mutant| compute(&mutant.replacement), compute(sign));
                self.before(&whole, 0, format!("(match ({borrow}("), &numbers);
                self.replace(operator, format!("), {borrow}("), &numbers);
                self.after(&whole, 0, format!(")) {{ (woven_left, woven_right) => {text} }})"), &numbers);
            }
        }
    }

    fn around(&mut self, part: &Part, outer: i64, before: String, after: String, mutants: &[u32]) {
        self.before(part, outer, before, mutants);
        self.after(part, outer, after, mutants);
    }

    fn before(&mut self, part: &Part, outer: i64, text: String, mutants: &[u32]) {
        let order = (2, -(part.len() as i64 * 4 + outer));
        self.edits.push(Edit { part: part.start..part.start, text, order, mutants: mutants.to_vec() });
    }

    fn after(&mut self, part: &Part, outer: i64, text: String, mutants: &[u32]) {
        let order = (0, part.len() as i64 * 4 + outer);
        self.edits.push(Edit { part: part.end..part.end, text, order, mutants: mutants.to_vec() });
    }

    fn replace(&mut self, part: &Part, text: String, mutants: &[u32]) {
        self.edits.push(Edit { part: part.clone(), text, order: (1, 0), mutants: mutants.to_vec() });
    }

    fn put_together(mut self, changed: Vec<(Part, Kind, Vec<u32>)>, left_out: Vec<u32>) -> Woven {
        self.edits.sort_by_key(|edit| (edit.part.start, edit.order));
        let (mut text, mut written, mut at) = (String::new(), Vec::new(), 0);
        // where each byte of the source came to stand
        let mut moved = vec![0; self.source.len() + 1];
        let mut copy = |text: &mut String, from: usize, to: usize| {
            for (place, at) in moved[from..to].iter_mut().zip(text.len()..) {
                *place = at;
            }
            text.push_str(&self.source[from..to]);
        };
        for edit in &self.edits {
            assert!(edit.part.start >= at, "two mutants replace one piece of code: {}", edit.text);
            copy(&mut text, at, edit.part.start);
            written.push((text.len()..text.len() + edit.text.len(), edit.mutants.clone()));
            text.push_str(&edit.text);
            at = edit.part.end;
        }
        copy(&mut text, at, self.source.len());
        moved[self.source.len()] = text.len();
        let mut changed: Vec<_> =
            changed.into_iter().map(|(part, kind, all)| (moved[part.start]..moved[part.end], kind, all)).collect();
        changed.sort_by_key(|(part, ..)| std::cmp::Reverse(part.len()));
        Woven { text, written, changed, left_out }
    }
}
