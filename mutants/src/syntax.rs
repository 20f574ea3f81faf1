//! Where the parts of the code are that a mutant changes.

use std::collections::HashMap;
use std::ops::Range;

use proc_macro2::{LineColumn, Span};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::list::{Kind, Place};

/// Bytes of a file.
pub type Part = Range<usize>;

/// What stands at a place where there is a mutant.
pub enum Syntax {
    Function,
    Binary { left: Part, operator: Part, right: Part, is_assignment: bool },
    Unary { operator: Part, operand: Part },
    Guard { condition: Part },
    Arm { pattern: Part, guard: Option<Part>, whole: Part },
    Field { name: String, value: Option<Part>, end: usize, rest: Part },
}

/// Everything in a file that a mutant can change, by its kind and the byte where it begins.
pub struct Found {
    lines: Vec<usize>,
    text: String,
    found: HashMap<(Kind, usize), Syntax>,
    /// Where a value is computed while compiling, which cannot ask what is to be broken.
    constants: Vec<Part>,
    /// The `match`es around, while the file is read.
    matches: Vec<Part>,
}

impl Found {
    pub fn parse(text: &str) -> Found {
        let lines = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let (found, text) = (HashMap::new(), text.to_owned());
        let mut found = Found { lines, text, found, constants: Vec::new(), matches: Vec::new() };
        found.visit_file(&syn::parse_file(&found.text.clone()).expect("the library's files are Rust"));
        found
    }

    /// The byte at a place.
    pub fn byte(&self, (line, column): Place) -> usize {
        let start = self.lines[line - 1];
        let line = &self.text[start..];
        start + line.char_indices().nth(column - 1).map_or(line.len(), |(at, _)| at)
    }

    /// What stands there, unless it is computed while compiling.
    pub fn at(&self, kind: Kind, byte: usize) -> Option<&Syntax> {
        if self.constants.iter().any(|part| part.contains(&byte)) {
            return None;
        }
        match kind {
            Kind::Function => Some(&Syntax::Function),
            _ => self.found.get(&(kind, byte)),
        }
    }

    fn part(&self, span: Span) -> Part {
        let byte = |LineColumn { line, column }| self.byte((line, column + 1));
        byte(span.start())..byte(span.end())
    }

    fn part_of(&self, node: &impl Spanned) -> Part {
        self.part(node.span())
    }

    fn add(&mut self, kind: Kind, start: usize, syntax: Syntax) {
        self.found.insert((kind, start), syntax);
    }

    fn add_constant(&mut self, node: &impl Spanned) {
        let part = self.part_of(node);
        self.constants.push(part);
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        visit::visit_expr_binary(self, binary);
        if has_let(&binary.left) || has_let(&binary.right) {
            return;
        }
        let (left, operator, right) =
            (self.part_of(&*binary.left), self.part_of(&binary.op), self.part_of(&*binary.right));
        let text = &self.text[operator.clone()];
        let is_assignment = text.ends_with('=') && !["==", "!=", "<=", ">="].contains(&text);
        self.add(Kind::Binary, operator.start, Syntax::Binary { left, operator, right, is_assignment });
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        visit::visit_expr_unary(self, unary);
        let (operator, operand) = (self.part_of(&unary.op), self.part_of(&*unary.expr));
        self.add(Kind::Unary, operator.start, Syntax::Unary { operator, operand });
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        let whole = self.part_of(expr);
        self.matches.push(whole);
        visit::visit_expr_match(self, expr);
        self.matches.pop();
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        visit::visit_arm(self, arm);
        let (pattern, whole) = (self.part_of(&arm.pat), self.matches.last().expect("an arm is in a match").clone());
        let guard = arm.guard.as_ref().map(|(_, condition)| &**condition);
        if guard.is_some_and(has_let) {
            return;
        }
        let guard = guard.map(|condition| self.part_of(condition));
        if let Some(condition) = guard.clone() {
            self.add(Kind::Guard, condition.start, Syntax::Guard { condition });
        }
        self.add(Kind::Arm, pattern.start, Syntax::Arm { pattern, guard, whole });
    }

    fn visit_expr_struct(&mut self, expr: &'ast syn::ExprStruct) {
        visit::visit_expr_struct(self, expr);
        let Some(rest) = &expr.rest else { return };
        let rest = self.part_of(&**rest);
        for field in &expr.fields {
            let (member, rest) = (self.part_of(&field.member), rest.clone());
            let value = field.colon_token.is_some().then(|| self.part_of(&field.expr));
            let (name, end) = (self.text[member.clone()].to_owned(), member.end);
            self.add(Kind::Field, member.start, Syntax::Field { name, value, end, rest });
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.add_constant(item);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.add_constant(item);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.add_constant(item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        visit::visit_item_fn(self, item);
        if item.sig.constness.is_some() {
            self.add_constant(item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        visit::visit_impl_item_fn(self, item);
        if item.sig.constness.is_some() {
            self.add_constant(item);
        }
    }

    fn visit_type_array(&mut self, array: &'ast syn::TypeArray) {
        self.add_constant(array);
    }

    fn visit_expr_repeat(&mut self, array: &'ast syn::ExprRepeat) {
        visit::visit_expr(self, &array.expr);
        self.add_constant(&*array.len);
    }
}

/// Whether a condition binds names, which cannot stand in every place.
fn has_let(condition: &syn::Expr) -> bool {
    match condition {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}
