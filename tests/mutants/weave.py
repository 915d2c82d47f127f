"""All mutants in one build, each asleep until an environment variable names it.

A build for each mutant takes a minute, and its tests a few seconds. So wherever Rust lets the code and its mutant stand
beside each other, they do, as `if woven(7) { mutant } else { code }`: one build, and then the tests alone. (Untch, Offutt
and Harrold call this mutant schemata, ISSTA 1993.) What does not fit is tried by itself.
"""

import json
import re
import subprocess
from pathlib import Path

import tree_sitter
import tree_sitter_rust

# Which mutant is awake.
AWAKE = "WATCHFIRE_WOVEN_MUTANT"
# The file that is told which mutants the code came to, a number a line; each process tells once.
REACHED = "WATCHFIRE_WOVEN_REACHED"
# Public, so that nobody calls it unused; a number that is none wakes nobody.
FUNCTION = f"""
/// Whether a mutant is awake.
#[doc(hidden)]
pub fn woven(number: u32) -> bool {{
    use std::collections::HashSet;
    use std::fs::File;
    use std::io::Write as _;
    use std::sync::LazyLock;
    use std::sync::Mutex;

    static AWAKE: LazyLock<Option<u32>> = LazyLock::new(|| std::env::var("{AWAKE}").ok()?.parse().ok());
    static REACHED: LazyLock<Option<Mutex<(File, HashSet<u32>)>>> = LazyLock::new(|| {{
        let file = File::options().append(true).create(true).open(std::env::var_os("{REACHED}")?).ok()?;
        Some(Mutex::new((file, HashSet::new())))
    }});
    if let Some(Ok(mut told)) = REACHED.as_ref().map(Mutex::lock) {{
        let (file, numbers) = &mut *told;
        if numbers.insert(number) {{
            let _full = file.write_all(format!("{{number}}\\n").as_bytes());
        }}
    }}
    *AWAKE == Some(number)
}}
"""
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))


def offset(lines: list[int], place: dict) -> int:
    """Bytes before a line and column, both counted from one."""
    return lines[place["line"] - 1] + place["column"] - 1


def around(tree: tree_sitter.Tree, begin: int, end: int, *kinds: str) -> tree_sitter.Node | None:
    """The innermost node of these kinds around some bytes."""
    node = tree.root_node.descendant_for_byte_range(begin, end)
    while node is not None and node.type not in kinds:
        node = node.parent
    return node


class File:
    """One file, and which of its mutants are woven in, by their numbers."""

    def __init__(self, path: Path, mutants: dict[int, dict]) -> None:
        self.source = path.read_bytes()
        self.tree = PARSER.parse(self.source)
        # For each node the code that is used instead, from the innermost to the outermost.
        self.instead: dict[int, list[tuple[int, str]]] = {}
        self.before: dict[int, list[str]] = {}
        # Nodes that are left out.
        self.dropped: set[int] = set()
        starts = [0]
        for line in self.source.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        for number, mutant in mutants.items():
            span = mutant["span"]
            self.weave(number, mutant, offset(starts, span["start"]), offset(starts, span["end"]))

    def text(self, node: tree_sitter.Node) -> str:
        return self.source[node.start_byte:node.end_byte].decode()

    def weave(self, number: int, mutant: dict, begin: int, end: int) -> None:
        """Sets a mutant beside its code; does nothing with what does not fit."""
        other = mutant["replacement"]
        match mutant["genre"]:
            case "FnValue":
                block = around(self.tree, begin, end, "block")
                function = block.parent if block is not None else None
                # Two values that are given back make a hidden type two.
                if function is None or function.type != "function_item" or "impl " in mutant["function"]["return_type"]:
                    return
                # What is constant cannot ask who is awake. Methods lose their `const`: few constants call them, and E0015
                # names those that do.
                modifiers = next((child for child in function.children if child.type == "function_modifiers"), None)
                if modifiers is not None and "const" in self.text(modifiers):
                    if "self" not in self.text(function.child_by_field_name("parameters")):
                        return
                    self.dropped.add(modifiers.id)
                self.insert(block.start_byte + 1, f"if crate::woven({number}) {{ return {other}; }} ")
            case "BinaryOperator":
                node = around(self.tree, begin, end, "binary_expression", "compound_assignment_expr")
                operator = node.child_by_field_name("operator") if node is not None else None
                if operator is None or (operator.start_byte, operator.end_byte) != (begin, end):
                    return
                left, right = (self.text(node.child_by_field_name(side)) for side in ("left", "right"))
                self.replace(node, number, f"{left} {other} {right}")
            case "UnaryOperator":
                node = around(self.tree, begin, end, "unary_expression")
                if node is not None and node.start_byte == begin:
                    self.replace(node, number, self.source[end:node.end_byte].decode())
            case "MatchArmGuard":
                guard = around(self.tree, begin, end, "match_pattern")
                condition = guard.child_by_field_name("condition") if guard is not None else None
                if condition is not None and condition.start_byte == begin and condition.type != "let_condition":
                    self.replace(condition, number, other)
            case "StructField":
                field = around(self.tree, begin, begin + 1, "field_initializer", "shorthand_field_initializer")
                whole = around(self.tree, begin, begin + 1, "struct_expression")
                if field is None or whole is None or field.parent.parent != whole:
                    return
                behind = self.source[field.end_byte:whole.end_byte].decode().lstrip().removeprefix(",")
                self.replace(whole, number, self.source[whole.start_byte:field.start_byte].decode() + behind)
            case "MatchArm":
                arm = around(self.tree, begin, end, "match_arm")
                pattern = arm.child_by_field_name("pattern") if arm is not None else None
                if pattern is None:
                    return
                guard = pattern.child_by_field_name("condition")
                if guard is None:
                    self.insert(pattern.end_byte, f" if !crate::woven({number}) ")
                else:
                    self.insert(guard.start_byte, f"!crate::woven({number}) && ")

    def insert(self, at: int, text: str) -> None:
        self.before.setdefault(at, []).append(text)

    def replace(self, node: tree_sitter.Node, number: int, other: str) -> None:
        self.instead.setdefault(node.id, []).append((number, other))

    def woven(self) -> str:
        return self.render(self.tree.root_node)

    def render(self, node: tree_sitter.Node) -> str:
        """The code of a node, with whatever is woven into it."""
        if node.id in self.dropped:
            return ""
        parts, at = [], node.start_byte
        for child in node.children:
            parts += [self.raw(at, child.start_byte), self.render(child)]
            at = child.end_byte
        whole = "".join(parts) + self.raw(at, node.end_byte)
        for number, other in self.instead.get(node.id, []):
            whole = f"(if crate::woven({number}) {{ {other} }} else {{ {whole} }})"
        return whole

    def raw(self, begin: int, end: int) -> str:
        """Bytes between nodes, with what is inserted there."""
        pieces, at = [], begin
        for place in sorted(place for place in self.before if begin <= place < end or (begin == place == end)):
            pieces += [self.source[at:place].decode(), *self.before.pop(place)]
            at = place
        return "".join(pieces) + self.source[at:end].decode()


def fitting(tree: Path, environment: dict[str, str], due: list[dict]) -> tuple[dict[str, int], list[dict]]:
    """Weaves into the copy what fits, and has it checked; the numbers of the mutants that are in it, by their names, and
    those that no compiler takes."""
    unviable = []
    numbered = {mutant["number"]: mutant for mutant in due}
    library = tree / "src/lib.rs"
    whole = library.read_text()
    library.write_text(whole + FUNCTION)
    manifest = tree / "Cargo.toml"
    # What is woven is not written well.
    manifest.write_text(re.sub(r"^\[lints[^\]]*\]\n(?:(?!\[).*\n)*", "", manifest.read_text(), flags=re.MULTILINE))
    sources = {file: (tree / file).read_bytes() for file in {mutant["file"] for mutant in due}}
    while True:
        present: set[int] = set()
        for file, source in sources.items():
            (tree / file).write_bytes(source)
            own = {number: mutant for number, mutant in numbered.items() if mutant["file"] == file}
            text = File(tree / file, own).woven()
            (tree / file).write_text(text)
            present |= {int(number) for number in re.findall(r"crate::woven\((\d+)\)", text)}
        wrong = rejected(tree, environment, sources, numbered)
        if not wrong:
            return {mutant["name"]: number for number, mutant in numbered.items() if number in present}, unviable
        for number, is_own in wrong.items():
            mutant = numbered.pop(number)
            if is_own:
                unviable.append(mutant)


def rejected(tree: Path, environment: dict[str, str], files: dict[str, bytes], of: dict[int, dict]) -> dict[int, bool]:
    """Mutants that do not compile where they stand, and whether what is wrong is their own code, and would be wrong anywhere;
    all the others may compile once these are gone. Arms that are deleted have no code of their own."""
    checks = (subprocess.run(["cargo", "check", "--locked", "--message-format=json", *which], cwd=tree, env=environment,
                             capture_output=True, text=True) for which in (("--profile", "test", "--lib"), ("--bins",)))
    done = next((check for check in checks if check.returncode != 0), None)
    if done is None:
        return {}
    arms = {number for number, mutant in of.items() if mutant["genre"] == "MatchArm"}
    wrong: dict[int, bool] = {}
    for line in done.stdout.splitlines():
        message = json.loads(line).get("message") or {}
        if not isinstance(message, dict) or message.get("level") != "error":
            continue
        code = (message.get("code") or {}).get("code")
        if code == "E0015" and "woven" not in message["message"]:
            # Something constant calls what is no longer so.
            names = set(re.findall(r"(\w+)`", message["message"]))
            wrong |= {number: False for number, mutant in of.items()
                      if mutant["function"] and mutant["function"]["function_name"].rpartition("::")[2] in names}
            continue
        for span in message.get("spans", []):
            if span["file_name"] in files and span["is_primary"]:
                text = (tree / span["file_name"]).read_bytes()
                if code == "E0004":
                    # An arm that may be asleep does not count: without it, is the match whole? That is tried alone.
                    whole = around(PARSER.parse(text), span["byte_start"], span["byte_end"], "match_expression")
                    asleep = re.findall(rb"!crate::woven\((\d+)\)", text[whole.start_byte:whole.end_byte])
                    wrong |= dict.fromkeys(map(int, asleep), False)
                    continue
                before = text[:span["byte_end"]].decode()
                for found in list(re.finditer(r"crate::woven\((\d+)\)", before))[-1:]:
                    number, behind = int(found[1]), before[found.end():]
                    # What may not stand there at all is `woven` itself, in what is constant.
                    starts_behind = span["byte_start"] >= len(before[:found.end()].encode())
                    is_own = (code != "E0015" and number not in arms and starts_behind
                              and "} else {" not in behind and "; }" not in behind)
                    wrong[number] = wrong.get(number, True) and is_own
    if not wrong:
        raise SystemExit(f"what is woven does not compile, and not for a mutant:\n{done.stderr[-3000:]}")
    return wrong
