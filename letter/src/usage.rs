//! What a template refers to, read from its syntax tree: columns, functions, filters.
//!
//! A name that only stands where its absence is provided for (`X | default(…)`, `X is defined`) is not a use. In doubt a name is no use:
//! a mistake found wrongly stops a campaign, while one that is missed here is still found when every row is rendered before sending.

use crate::template::TemplateError;
use campaign::mistake::nearest;
use minijinja::{
    Environment, context,
    machinery::{Span, ast, parse},
};
use std::collections::HashSet;

/// Names that are there without any column.
const SPECIAL: [&str; 5] = ["row", "loop", "self", "super", "caller"];

/// What a template refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Columns it needs, each once, with the first line.
    pub columns: Vec<Reference>,
    /// Functions it calls that the language doesn't have, unless a macro of the template.
    pub functions: Vec<Reference>,
    /// Whether it is plain text, the same for every row.
    pub is_constant: bool,
    /// Whether any of it can be written more than once: loops and macros.
    pub repeats: bool,
}

/// A name in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The name.
    pub name: String,
    /// Its line, from 1.
    pub line: usize,
}

/// Reads a template.
///
/// # Errors
/// A syntax error, or every unknown filter, unknown test and reference to another template.
pub(crate) fn of(source: &str, environment: &Environment<'static>) -> Result<Usage, Vec<TemplateError>> {
    let tree = parse(source, "template", environment.syntax().clone())
        .map_err(|error| vec![TemplateError::new(&error, source)])?;
    let mut reader = Reader {
        environment,
        scopes: vec![HashSet::new()],
        guards: Vec::new(),
        usage: Usage { is_constant: is_constant(&tree), ..Usage::default() },
        errors: Vec::new(),
    };
    reader.statement(&tree);
    if reader.errors.is_empty() { Ok(reader.usage) } else { Err(reader.errors) }
}

fn is_constant(tree: &ast::Stmt<'_>) -> bool {
    match tree {
        ast::Stmt::Template(template) => template.children.iter().all(|child| matches!(child, ast::Stmt::EmitRaw(_))),
        _ => false,
    }
}

struct Reader<'a> {
    environment: &'a Environment<'static>,
    /// Names that the template sets itself, by scope.
    scopes: Vec<HashSet<&'a str>>,
    /// Names that a condition around has asked for.
    guards: Vec<HashSet<&'a str>>,
    usage: Usage,
    errors: Vec<TemplateError>,
}

impl<'a> Reader<'a> {
    fn statements(&mut self, statements: &[ast::Stmt<'a>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn scoped(&mut self, read: impl FnOnce(&mut Self)) {
        self.scopes.push(HashSet::new());
        read(self);
        self.scopes.pop();
    }

    fn statement(&mut self, statement: &ast::Stmt<'a>) {
        use ast::Stmt;
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => {}
            Stmt::ForLoop(each) => self.for_loop(each),
            Stmt::IfCond(condition) => self.condition(condition),
            Stmt::WithBlock(with) => self.scoped(|reader| {
                for (target, value) in &with.assignments {
                    reader.expression(value);
                    reader.assign(target);
                }
                reader.statements(&with.body);
            }),
            Stmt::Set(set) => {
                self.expression(&set.expr);
                self.assign(&set.target);
            }
            Stmt::SetBlock(set) => {
                self.scoped(|reader| reader.statements(&set.body));
                set.filter.iter().for_each(|filter| self.expression(filter));
                self.assign(&set.target);
            }
            Stmt::AutoEscape(block) => {
                self.expression(&block.enabled);
                self.statements(&block.body);
            }
            Stmt::FilterBlock(block) => {
                self.expression(&block.filter);
                self.scoped(|reader| reader.statements(&block.body));
            }
            Stmt::Block(block) => {
                // `{{ self.name() }}` writes it again.
                self.usage.repeats = true;
                self.scoped(|reader| reader.statements(&block.body));
            }
            Stmt::Import(import) => self.other_template(import.span(), "import"),
            Stmt::FromImport(import) => self.other_template(import.span(), "from … import"),
            Stmt::Extends(extends) => self.other_template(extends.span(), "extends"),
            Stmt::Include(include) => self.other_template(include.span(), "include"),
            Stmt::Macro(declared) => self.macro_declaration(declared),
            Stmt::CallBlock(block) => {
                self.call(&block.call);
                self.macro_declaration(&block.macro_decl);
            }
            Stmt::Do(call) => self.call(&call.call),
        }
    }

    fn for_loop(&mut self, each: &ast::ForLoop<'a>) {
        self.usage.repeats = true;
        self.expression(&each.iter);
        self.scoped(|reader| {
            reader.assign(&each.target);
            each.filter_expr.iter().for_each(|filter| reader.expression(filter));
            reader.statements(&each.body);
        });
        self.scoped(|reader| reader.statements(&each.else_body));
    }

    /// An `if` opens no scope: what it sets stays set.
    fn condition(&mut self, condition: &ast::IfCond<'a>) {
        self.guards.push(asked_for(&condition.expr));
        self.expression(&condition.expr);
        self.statements(&condition.true_body);
        self.statements(&condition.false_body);
        self.guards.pop();
    }

    fn macro_declaration(&mut self, declared: &ast::Macro<'a>) {
        self.usage.repeats = true;
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(declared.name);
        }
        self.scoped(|reader| {
            declared.defaults.iter().for_each(|default| reader.expression(default));
            declared.args.iter().for_each(|argument| reader.assign(argument));
            reader.statements(&declared.body);
        });
    }

    fn assign(&mut self, target: &ast::Expr<'a>) {
        match target {
            ast::Expr::Var(var) => {
                if let Some(scope) = self.scopes.last_mut() {
                    scope.insert(var.id);
                }
            }
            ast::Expr::List(list) => list.items.iter().for_each(|item| self.assign(item)),
            ast::Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.assign(item)),
            _ => {}
        }
    }

    fn expression(&mut self, expression: &ast::Expr<'a>) {
        use ast::Expr;
        match expression {
            Expr::Var(var) => self.column(var.id, var.span()),
            Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                [&slice.start, &slice.stop, &slice.step].into_iter().flatten().for_each(|part| self.expression(part));
            }
            Expr::UnaryOp(unary) => self.expression(&unary.expr),
            Expr::BinOp(binary) => {
                self.expression(&binary.left);
                self.expression(&binary.right);
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr);
                compare.ops.iter().for_each(|op| self.expression(&op.expr));
            }
            Expr::IfExpr(choice) => {
                self.guards.push(asked_for(&choice.test_expr));
                self.expression(&choice.test_expr);
                self.expression(&choice.true_expr);
                choice.false_expr.iter().for_each(|other| self.expression(other));
                self.guards.pop();
            }
            Expr::Filter(filter) => self.filter(filter),
            Expr::Test(test) => self.test(test),
            Expr::GetAttr(attribute) => match &attribute.expr {
                Expr::Var(var) if self.is_row(var.id) => self.column(attribute.name, attribute.span()),
                of => self.expression(of),
            },
            Expr::GetItem(item) => self.item(item),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => list.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(|part| self.expression(part)),
        }
    }

    fn item(&mut self, item: &ast::Spanned<ast::GetItem<'a>>) {
        if let (ast::Expr::Var(var), ast::Expr::Const(name)) = (&item.expr, &item.subscript_expr)
            && self.is_row(var.id)
            && let Some(name) = name.value.as_str()
        {
            self.column(name, item.span());
            return;
        }
        self.expression(&item.expr);
        self.expression(&item.subscript_expr);
    }

    fn filter(&mut self, filter: &ast::Spanned<ast::Filter<'a>>) {
        let is_guard = matches!(filter.name, "default" | "d");
        match &filter.expr {
            Some(of) if is_guard && column_of(of).is_some() => {}
            Some(of) => self.expression(of),
            None => {}
        }
        self.arguments(&filter.args);
        self.known(filter.name, "filter", filter.span());
    }

    fn test(&mut self, test: &ast::Spanned<ast::Test<'a>>) {
        let is_guard = matches!(test.name, "defined" | "undefined" | "none");
        if !(is_guard && column_of(&test.expr).is_some()) {
            self.expression(&test.expr);
        }
        self.arguments(&test.args);
        self.known(test.name, "test", test.span());
    }

    fn call(&mut self, call: &ast::Spanned<ast::Call<'a>>) {
        match &call.expr {
            ast::Expr::Var(var) if !self.is_set(var.id) && !self.is_global(var.id) => {
                add(&mut self.usage.functions, var.id, line_of(var.span()));
            }
            called => self.expression(called),
        }
        self.arguments(&call.args);
    }

    fn arguments(&mut self, arguments: &[ast::CallArg<'a>]) {
        for argument in arguments {
            match argument {
                ast::CallArg::Pos(value)
                | ast::CallArg::Kwarg(_, value)
                | ast::CallArg::PosSplat(value)
                | ast::CallArg::KwargSplat(value) => self.expression(value),
            }
        }
    }

    fn column(&mut self, name: &str, span: Span) {
        let is_guarded = self.guards.iter().any(|guard| guard.contains(name));
        if !is_guarded && !self.is_set(name) && !SPECIAL.contains(&name) && !self.is_global(name) {
            add(&mut self.usage.columns, name, line_of(span));
        }
    }

    fn is_set(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }

    fn is_row(&self, name: &str) -> bool {
        name == "row" && !self.is_set(name)
    }

    fn is_global(&self, name: &str) -> bool {
        self.environment.globals().any(|(global, _)| global == name)
    }

    fn other_template(&mut self, span: Span, what: &str) {
        let message =
            format!("{{% {what} %}} is not available: a template can't use another one. Put the text here itself");
        self.errors.push(TemplateError { line: Some(line_of(span)), ..TemplateError::plain(message) });
    }

    fn known(&mut self, name: &str, kind: &str, span: Span) {
        let question = format!("name is {kind}");
        let exists = self
            .environment
            .compile_expression(&question)
            .and_then(|asked| asked.eval(context! { name => name }))
            .is_ok_and(|answer| answer.is_true());
        if !exists {
            let candidates = if kind == "filter" { FILTERS } else { TESTS };
            let hint = nearest(name, candidates.split(' '))
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            let message = format!("there is no {kind} `{name}`{hint}");
            self.errors.push(TemplateError { line: Some(line_of(span)), ..TemplateError::plain(message) });
        }
    }
}

/// For "did you mean".
const FILTERS: &str = "abs attr batch bool capitalize chain count currency date default dictsort e escape first float format groupby indent \
                       int items join last length lines list lower map max min number pprint reject rejectattr replace reverse round safe \
                       select selectattr slice sort split string sum title tojson trim unique upper urlencode zip";
const TESTS: &str = "boolean defined divisibleby endingwith eq even false float ge gt in integer iterable le lower lt mapping ne none number \
                     odd sameas sequence startingwith string true undefined upper";

/// The column that an expression is about, if it is nothing but that: `X`, `X.y`, `row["X"]`.
fn column_of<'a>(expression: &ast::Expr<'a>) -> Option<&'a str> {
    match expression {
        ast::Expr::Var(var) => Some(var.id),
        ast::Expr::GetAttr(attribute) => match column_of(&attribute.expr)? {
            "row" => Some(attribute.name),
            name => Some(name),
        },
        ast::Expr::GetItem(item) => column_of(&item.expr),
        _ => None,
    }
}

/// The names whose presence a condition asks for with `is defined` and the like, anywhere in it.
fn asked_for<'a>(condition: &ast::Expr<'a>) -> HashSet<&'a str> {
    match condition {
        ast::Expr::Test(test) if matches!(test.name, "defined" | "undefined" | "none") => {
            column_of(&test.expr).into_iter().collect()
        }
        ast::Expr::UnaryOp(unary) => asked_for(&unary.expr),
        ast::Expr::BinOp(binary) => &asked_for(&binary.left) | &asked_for(&binary.right),
        _ => HashSet::new(),
    }
}

fn add(references: &mut Vec<Reference>, name: &str, line: usize) {
    if !references.iter().any(|reference| reference.name == name) {
        references.push(Reference { name: name.to_owned(), line });
    }
}

fn line_of(span: Span) -> usize {
    usize::from(span.start_line)
}
