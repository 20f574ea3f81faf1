//! What is to be broken, as cargo-mutants lists it.

use serde_json::Value;

/// One change to one place of the code.
pub struct Mutant {
    /// From 1.
    pub number: u32,
    /// As cargo-mutants names it.
    pub name: String,
    pub file: String,
    pub function: String,
    pub kind: Kind,
    /// Where the code is that is replaced.
    pub start: Place,
    /// What stands there instead.
    pub replacement: String,
    /// A function that returns one type that it does not name: it cannot return another one as well.
    pub returns_impl: bool,
}

/// A line and a column, both from 1.
pub type Place = (usize, usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A function answers something else and does nothing.
    Function,
    Binary,
    Unary,
    Guard,
    Arm,
    /// A field is not set, and comes from the rest.
    Field,
}

/// Reads what `cargo mutants --list --json` has printed. The first mutant gets this number.
pub fn read(text: &str, first: usize) -> Vec<Mutant> {
    let listed: Vec<Value> = serde_json::from_str(text).expect("the list of cargo-mutants is JSON");
    let listed = listed.iter().zip(first..);
    listed.map(|(mutant, number)| one(u32::try_from(number).expect("not as many"), mutant)).collect()
}

fn one(number: u32, listed: &Value) -> Mutant {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let place = |value: &Value| {
        let number = |name| value[name].as_u64().expect("a place has two numbers") as usize;
        (number("line"), number("column"))
    };
    let kind = match text(&listed["genre"]).as_str() {
        "FnValue" => Kind::Function,
        "BinaryOperator" => Kind::Binary,
        "UnaryOperator" => Kind::Unary,
        "MatchArmGuard" => Kind::Guard,
        "MatchArm" => Kind::Arm,
        "StructField" => Kind::Field,
        other => panic!("cargo-mutants makes mutants of a kind that is not known here: {other}"),
    };
    Mutant {
        number,
        name: text(&listed["name"]),
        file: text(&listed["file"]),
        function: text(&listed["function"]["function_name"]),
        kind,
        start: place(&listed["span"]["start"]),
        replacement: text(&listed["replacement"]),
        returns_impl: text(&listed["function"]["return_type"]).contains("impl "),
    }
}
