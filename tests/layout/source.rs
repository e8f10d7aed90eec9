//! Reads a crate's source text: which file names which other file of the crate, and in which line.
//!
//! A re-export is a door and not a use: whoever takes a name from it uses the file that defines the name. `mod` lines are
//! no use either. Unit tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A crate, by its modules.
pub(crate) struct Crate {
    /// Where the crate lies, from the top of the project.
    pub(crate) folder: String,
    /// Ascending by path; empty for the crate's root.
    pub(crate) modules: BTreeMap<Vec<String>, Module>,
}

/// One source file.
pub(crate) struct Module {
    /// The path from the top of the project.
    pub(crate) file: String,
    /// The code without comments, texts and unit tests; lines are where they were.
    pub(crate) code: String,
}

/// A use of one file by another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Use {
    pub(crate) from: Vec<String>,
    pub(crate) to: Vec<String>,
    pub(crate) line: usize,
}

/// The top of the project.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the project").to_owned()
}

impl Crate {
    /// Reads `<folder>/src`.
    pub(crate) fn read(folder: &str) -> Self {
        let source = top().join(folder).join("src");
        let mut modules = BTreeMap::new();
        for file in files(&source) {
            let path = file.strip_prefix(&source).expect("it lies below").with_extension("");
            let mut path: Vec<String> =
                path.iter().map(|part| part.to_str().expect("names are text").to_owned()).collect();
            if path.last().is_some_and(|last| last == "tests") {
                continue;
            }
            if path == ["lib"] || path == ["main"] || path.last().is_some_and(|last| last == "mod") {
                path.pop();
            }
            let text = std::fs::read_to_string(&file).expect("source is text");
            let file = file.strip_prefix(top()).expect("it lies below").display().to_string();
            modules.insert(path, Module { file, code: without_tests(&blank(&text)) });
        }
        Self { folder: folder.to_owned(), modules }
    }

    /// Every use of one file by another.
    pub(crate) fn uses(&self) -> BTreeSet<Use> {
        let doors = self.doors();
        let mut uses = BTreeSet::new();
        for (from, module) in &self.modules {
            for (line, is_door, path) in paths(&module.code) {
                let Some(path) = absolute(from, &path) else { continue };
                let to = self.definer(path, &doors);
                if !is_door && to != *from {
                    uses.insert(Use { from: from.clone(), to, line });
                }
            }
        }
        uses
    }

    /// What each re-exported name stands for.
    fn doors(&self) -> BTreeMap<Vec<String>, Vec<String>> {
        let mut doors = BTreeMap::new();
        for (module, Module { code, .. }) in &self.modules {
            for (_, is_door, path) in paths(code) {
                if is_door
                    && let (Some(to), Some(name)) = (absolute(module, &path), path.last())
                    && name != "self"
                {
                    doors.insert([module.clone(), vec![name.clone()]].concat(), to);
                }
            }
        }
        doors
    }

    /// The file that defines what a path names.
    fn definer(&self, mut path: Vec<String>, doors: &BTreeMap<Vec<String>, Vec<String>>) -> Vec<String> {
        let mut steps = 0;
        while let Some((length, to)) =
            (1..=path.len()).rev().find_map(|length| Some((length, doors.get(&path[..length])?)))
            && steps < 8
        {
            path = [to.clone(), path[length..].to_vec()].concat();
            steps += 1;
        }
        while !self.modules.contains_key(&path) {
            path.pop();
        }
        path
    }

    /// Whether a name is that of a file, or of a folder, of the crate.
    pub(crate) fn file(&self, module: &[String]) -> &str {
        &self.modules[module].file
    }
}

/// The source files in a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a crate has a folder src") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The code with blanks in place of comments and texts.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_text(rest) {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = hashes + 2;
            rest[body..].find(&close).map_or(rest.len(), |end| body + end + close.len())
        } else if rest.starts_with('"') {
            text_length(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            rest.find("\"'").map_or(1, |end| end + 2)
        } else if rest.starts_with("'\\") {
            4.min(rest.len())
        } else {
            let width = rest.chars().next().map_or(1, char::len_utf8);
            code.extend(&bytes[at..at + width]);
            at += width;
            continue;
        };
        code.extend(bytes[at..at + length].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
        at += length;
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// How many `#` a raw text begins with, if one begins here.
fn raw_text(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('r')?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    body[hashes..].starts_with('"').then_some(hashes)
}

fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Blanks modules of unit tests.
fn without_tests(code: &str) -> String {
    let mut code = code.to_owned();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(test)]") {
        let start = from + found;
        let body = code[start..].find(['{', ';']).map_or(code.len(), |end| start + end);
        let mut depth = 0_i32;
        let mut end = body;
        for (at, byte) in code.bytes().enumerate().skip(body) {
            depth += i32::from(byte == b'{') - i32::from(byte == b'}');
            end = at + 1;
            if depth == 0 {
                break;
            }
        }
        let blanks: String =
            code[start..end].chars().map(|char| if char == '\n' { '\n' } else { ' ' }).collect();
        code.replace_range(start..end, &blanks);
        from = start + blanks.len();
    }
    code
}

/// Every path to something of the same crate: the line, whether it is re-exported, and the path.
fn paths(code: &str) -> Vec<(usize, bool, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest_from = 0;
    let mut others = code.to_owned();
    while let Some(at) = code[rest_from..].find("use ") {
        let start = rest_from + at;
        rest_from = start + 4;
        let is_word = code[..start].chars().next_back().is_none_or(char::is_whitespace);
        let Some(end) = code[start..].find(';').map(|end| start + end) else { continue };
        let line_start = code[..start].rfind('\n').map_or(0, |at| at + 1);
        let visibility = code[line_start..start].trim();
        if !is_word || !(visibility.is_empty() || visibility.starts_with("pub")) {
            continue;
        }
        let mut tree = Vec::new();
        expand(&[], &code[start + 4..end], &mut tree);
        let first_line = code[..start].matches('\n').count() + 1;
        found.extend(tree.into_iter().map(|path| (first_line, !visibility.is_empty(), path)));
        others.replace_range(start..end, &" ".repeat(end - start));
        rest_from = end;
    }
    for (number, line) in others.lines().enumerate() {
        for (at, _) in line.match_indices("crate::") {
            let before = &line[..at];
            // `pub(in crate::a)` says who may use something, and uses nothing.
            let is_own = !before.ends_with("pub(in ")
                && before.chars().next_back().is_none_or(|before| !is_part(before) && before != ':');
            let path: String = line[at..].chars().take_while(|char| is_part(*char) || *char == ':').collect();
            if is_own {
                let path = path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
                found.push((number + 1, false, path));
            }
        }
    }
    found
}

fn is_part(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// The paths of a tree such as `a::{b, c::{d, self}}`.
fn expand(prefix: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    if let Some((before, group)) = tree.split_once('{') {
        let parts = before.split("::").map(str::trim).filter(|part| !part.is_empty());
        let prefix: Vec<String> = prefix.iter().cloned().chain(parts.map(str::to_owned)).collect();
        let group = group.rsplit_once('}').map_or(group, |(group, _)| group);
        let (mut depth, mut start) = (0_i32, 0);
        for (at, char) in group.char_indices() {
            match char {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&prefix, &group[start..at], found);
                    start = at + 1;
                }
                _ => {}
            }
        }
        expand(&prefix, &group[start..], found);
    } else if !tree.is_empty() {
        let path = tree.split(" as ").next().unwrap_or_default();
        let parts = path.split("::").map(str::trim).filter(|part| !part.is_empty() && *part != "self");
        let is_relative = prefix.is_empty() && path.trim().starts_with("self");
        let own = is_relative.then(|| "self".to_owned()).into_iter();
        found.push(prefix.iter().cloned().chain(own).chain(parts.map(str::to_owned)).collect());
    }
}

/// The path from the crate's root; `None` for a path into another crate.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([module, rest].concat()),
        "super" => {
            let (_, parent) = module.split_last()?;
            match rest.first() {
                Some(next) if next == "super" => absolute(parent, rest),
                _ => Some([parent, rest].concat()),
            }
        }
        _ => None,
    }
}
