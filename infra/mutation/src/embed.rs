//! All mutants of one source file in one text, each behind a switch: `if crate::mutation::on(17) { … } else { … }`.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{LineColumn, TokenStream};
use quote::ToTokens;
use syn::punctuated::Pair;
use syn::spanned::Spanned;
use syn::token::Comma;
use syn::visit_mut::{self, VisitMut};
use syn::{Arm, BinOp, Block, Expr, ExprBinary, ExprStruct, Signature, parse_quote};

use crate::mutant::{Genre, Mutant, OfFile, Place};

/// A source file with its mutants in it.
pub(crate) struct Embedded {
    /// The text, one long line.
    pub(crate) text: String,
    /// The mutants that are in it.
    pub(crate) placed: BTreeSet<u32>,
}

/// Puts `mutants` into `source`. A function stays `const` when its name is in `stays_const`, without mutants then: a
/// switch is not constant.
///
/// # Errors
/// When `source` is not Rust.
pub(crate) fn embed(source: &str, mutants: &OfFile, stays_const: &BTreeSet<String>) -> syn::Result<Embedded> {
    let mut file = syn::parse_file(source)?;
    let mut by_place: BTreeMap<Place, Vec<(u32, &Mutant)>> = BTreeMap::new();
    for (number, mutant) in mutants {
        by_place.entry(mutant.span.start).or_default().push((*number, mutant));
    }
    let mut visitor = Embedding { by_place, stays_const, placed: BTreeSet::new(), constant: 0 };
    visitor.visit_file_mut(&mut file);
    Ok(Embedded { text: file.to_token_stream().to_string(), placed: visitor.placed })
}

struct Embedding<'a> {
    by_place: BTreeMap<Place, Vec<(u32, &'a Mutant)>>,
    stays_const: &'a BTreeSet<String>,
    placed: BTreeSet<u32>,
    /// How many constant contexts are around.
    constant: usize,
}

fn place(start: LineColumn) -> Place {
    Place { line: start.line, column: start.column + 1 }
}

/// A chain of `&&` with a `let` in it: it can neither stand in parentheses nor hold an `||`, so a mutant of one of its
/// own operators would not compile.
fn holds_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(ExprBinary { left, op: BinOp::And(_), right, .. }) => {
            holds_let(left) || holds_let(right)
        }
        _ => false,
    }
}

impl<'a> Embedding<'a> {
    fn at(&self, start: LineColumn, genre: Genre) -> Vec<(u32, &'a Mutant)> {
        if self.constant > 0 {
            return Vec::new();
        }
        let here = self.by_place.get(&place(start)).map(Vec::as_slice).unwrap_or_default();
        here.iter().filter(|(_, mutant)| mutant.genre == genre).copied().collect()
    }

    /// `expr` with its mutants, each an expression of the same type.
    fn switch(&mut self, expr: &mut Expr, mutated: Vec<(u32, TokenStream)>) {
        for (number, other) in mutated {
            let usual: TokenStream = expr.to_token_stream();
            *expr = parse_quote!((if crate::mutation::on(#number) { #other } else { #usual }));
            self.placed.insert(number);
        }
    }

    fn of_binary(&self, original: &ExprBinary) -> Vec<(u32, TokenStream)> {
        let mut found = Vec::new();
        for (number, mutant) in self.at(original.op.span().start(), Genre::BinaryOperator) {
            if let Ok(op) = syn::parse_str::<BinOp>(&mutant.replacement) {
                let mut other = original.clone();
                other.op = op;
                found.push((number, other.into_token_stream()));
            }
        }
        found
    }

    fn of_struct(&self, original: &ExprStruct) -> Vec<(u32, TokenStream)> {
        let mut found = Vec::new();
        for (index, field) in original.fields.iter().enumerate() {
            for (number, _) in self.at(field.span().start(), Genre::StructField) {
                let mut other = original.clone();
                let kept = original.fields.iter().enumerate().filter(|(at, _)| *at != index);
                other.fields =
                    kept.map(|(_, field)| Pair::Punctuated(field.clone(), Comma::default())).collect();
                found.push((number, other.into_token_stream()));
            }
        }
        found
    }

    /// Mutants that lie in `block`, and in no block of a function within it: those were visited before.
    fn function(&mut self, block: &mut Block, signature: &mut Signature) {
        if self.constant > 0 {
            return;
        }
        let (from, to) = (place(block.span().start()), place(block.span().end()));
        let within = self.by_place.range(from..to).flat_map(|(_, here)| here);
        let mine: Vec<(u32, &Mutant)> = within
            .filter(|(number, mutant)| mutant.genre == Genre::FnValue && !self.placed.contains(number))
            .copied()
            .collect();
        for (number, mutant) in mine.into_iter().rev() {
            let Ok(value) = syn::parse_str::<Expr>(&mutant.replacement) else { continue };
            block.stmts.insert(0, parse_quote!(if crate::mutation::on(#number) { return #value; }));
            self.placed.insert(number);
        }
        signature.constness = None;
    }

    fn in_function(&mut self, signature: &Signature) -> usize {
        usize::from(signature.constness.is_some() && self.stays_const.contains(&signature.ident.to_string()))
    }
}

impl VisitMut for Embedding<'_> {
    fn visit_item_fn_mut(&mut self, node: &mut syn::ItemFn) {
        let constant = self.in_function(&node.sig);
        self.constant += constant;
        visit_mut::visit_item_fn_mut(self, node);
        self.function(&mut node.block, &mut node.sig);
        self.constant -= constant;
    }

    fn visit_impl_item_fn_mut(&mut self, node: &mut syn::ImplItemFn) {
        let constant = self.in_function(&node.sig);
        self.constant += constant;
        visit_mut::visit_impl_item_fn_mut(self, node);
        self.function(&mut node.block, &mut node.sig);
        self.constant -= constant;
    }

    fn visit_trait_item_fn_mut(&mut self, node: &mut syn::TraitItemFn) {
        visit_mut::visit_trait_item_fn_mut(self, node);
        if let Some(block) = &mut node.default {
            self.function(block, &mut node.sig);
        }
    }

    fn visit_item_const_mut(&mut self, node: &mut syn::ItemConst) {
        self.constant += 1;
        visit_mut::visit_item_const_mut(self, node);
        self.constant -= 1;
    }

    fn visit_item_static_mut(&mut self, node: &mut syn::ItemStatic) {
        self.constant += 1;
        visit_mut::visit_item_static_mut(self, node);
        self.constant -= 1;
    }

    fn visit_impl_item_const_mut(&mut self, node: &mut syn::ImplItemConst) {
        self.constant += 1;
        visit_mut::visit_impl_item_const_mut(self, node);
        self.constant -= 1;
    }

    fn visit_expr_mut(&mut self, node: &mut Expr) {
        let mutated = match &*node {
            Expr::Binary(binary) if !holds_let(node) => self.of_binary(binary),
            Expr::Unary(unary) => {
                let within = unary.expr.to_token_stream();
                let here = self.at(unary.op.span().start(), Genre::UnaryOperator);
                here.into_iter().map(|(number, _)| (number, within.clone())).collect()
            }
            Expr::Struct(structure) => self.of_struct(structure),
            _ => Vec::new(),
        };
        visit_mut::visit_expr_mut(self, node);
        self.switch(node, mutated);
    }

    fn visit_arm_mut(&mut self, node: &mut Arm) {
        let gone = self.at(node.span().start(), Genre::MatchArm);
        let guards = match &node.guard {
            Some((_, guard)) => self.at(guard.span().start(), Genre::MatchArmGuard),
            None => Vec::new(),
        };
        visit_mut::visit_arm_mut(self, node);
        for (number, mutant) in guards {
            if let (Some((_, guard)), Ok(value)) =
                (&mut node.guard, syn::parse_str::<Expr>(&mutant.replacement))
            {
                let usual = guard.to_token_stream();
                **guard = parse_quote!((if crate::mutation::on(#number) { #value } else { #usual }));
                self.placed.insert(number);
            }
        }
        for (number, _) in gone {
            let guard: Expr = match &node.guard {
                Some((_, guard)) => parse_quote!(!crate::mutation::on(#number) && (#guard)),
                None => parse_quote!(!crate::mutation::on(#number)),
            };
            node.guard = Some((syn::token::If::default(), Box::new(guard)));
            self.placed.insert(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutant::Span;

    fn mutant(genre: Genre, line: usize, column: usize, replacement: &str) -> Mutant {
        let span = Span { start: Place { line, column } };
        Mutant {
            file: "a.rs".to_owned(),
            name: replacement.to_owned(),
            genre,
            span,
            replacement: replacement.to_owned(),
        }
    }

    fn embedded(source: &str, mutants: Vec<Mutant>) -> (String, Vec<u32>) {
        let mutants: OfFile = (1..).zip(mutants).collect();
        let done =
            embed(source, &mutants, &BTreeSet::from(["kept".to_owned()])).expect("a source that parses");
        (done.text, done.placed.into_iter().collect())
    }

    fn same(text: &str, expected: &str) {
        let expected: TokenStream = expected.parse().expect("tokens");
        assert_eq!(text, expected.to_string());
    }

    #[test]
    fn an_operator_within_an_operator_has_its_own_switch_and_no_copy_of_the_other() {
        let source = "fn f(a: i32, b: i32) -> bool { a + b < 3 }";
        let (text, placed) = embedded(
            source,
            vec![mutant(Genre::BinaryOperator, 1, 34, "-"), mutant(Genre::BinaryOperator, 1, 38, "<=")],
        );
        same(
            &text,
            "fn f(a: i32, b: i32) -> bool {
                (if crate::mutation::on(2u32) { a + b <= 3 } else { (if crate::mutation::on(1u32) { a - b } else { a + b }) < 3 })
            }",
        );
        assert_eq!(placed, [1, 2]);
    }

    #[test]
    fn a_function_returns_at_once_and_is_not_const_unless_it_must_be() {
        let source = "const fn f() -> u8 { 3 }\nconst fn kept() -> u8 { 3 }";
        let (text, placed) =
            embedded(source, vec![mutant(Genre::FnValue, 1, 22, "0"), mutant(Genre::FnValue, 2, 25, "0")]);
        same(
            &text,
            "fn f() -> u8 { if crate::mutation::on(1u32) { return 0; } 3 } const fn kept() -> u8 { 3 }",
        );
        assert_eq!(placed, [1]);
    }

    #[test]
    fn arms_and_guards_are_switched_by_guards() {
        let source = "fn f(a: u8) { match a { 1 if a > 0 => {} _ => {} } }";
        let (text, placed) = embedded(
            source,
            vec![mutant(Genre::MatchArm, 1, 25, ""), mutant(Genre::MatchArmGuard, 1, 30, "true")],
        );
        same(
            &text,
            "fn f(a: u8) { match a {
                1 if !crate::mutation::on(1u32) && ((if crate::mutation::on(2u32) { true } else { a > 0 })) => {} _ => {}
            } }",
        );
        assert_eq!(placed, [1, 2]);
    }

    #[test]
    fn a_chain_with_a_let_keeps_its_own_operators() {
        let source = "fn f(a: Option<bool>) { if !true && let Some(b) = a && b {} }";
        let (text, placed) = embedded(
            source,
            vec![
                mutant(Genre::BinaryOperator, 1, 34, "||"),
                mutant(Genre::BinaryOperator, 1, 53, "||"),
                mutant(Genre::UnaryOperator, 1, 28, ""),
            ],
        );
        same(
            &text,
            "fn f(a: Option<bool>) {
                if (if crate::mutation::on(3u32) { true } else { !true }) && let Some(b) = a && b {}
            }",
        );
        assert_eq!(placed, [3]);
    }

    #[test]
    fn a_field_comes_from_the_base() {
        let source = "fn f(base: S) -> S { S { a: 1, b: 2, ..base } }";
        let (text, placed) = embedded(source, vec![mutant(Genre::StructField, 1, 26, "")]);
        same(
            &text,
            "fn f(base: S) -> S { (if crate::mutation::on(1u32) { S { b: 2, ..base } } else { S { a: 1, b: 2, ..base } }) }",
        );
        assert_eq!(placed, [1]);
    }
}
