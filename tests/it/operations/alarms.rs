//! Alarms name figures that there are, and each has a runbook that says what it means and what to do.

use std::collections::BTreeSet;

use crate::metrics::scrape;
use crate::metrics::watched;

const RULES: &str = include_str!("../../../docs/alerts.yml");
const OPERATIONS: &str = include_str!("../../../docs/OPERATIONS.md");
/// What each runbook says, in this order.
const PARTS: [&str; 5] = ["**Fires**", "**Means**", "**Look**", "**Do**", "**Over**"];

/// One rule, as it stands in the file.
#[derive(Debug, Default)]
struct Rule {
    alert: String,
    expr: String,
    severity: String,
    summary: String,
    runbook: String,
}

/// Reads the file, which has one form and no other: what YAML would take is more than anybody needs to read here.
fn rules(text: &str) -> Result<Vec<Rule>, String> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    for expected in ["groups:", "  - name: watchfire", "    rules:"] {
        let line = lines.next().unwrap_or_default();
        if line != expected {
            return Err(format!("{line:?} is not {expected:?}"));
        }
    }
    let mut rules: Vec<Rule> = Vec::new();
    for line in lines {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        let (key, value) = rest.split_once(':').ok_or_else(|| format!("{line:?} has no key"))?;
        let value = value.trim_start();
        if let ("      ", "- alert") = (indent, key) {
            rules.push(Rule { alert: value.to_owned(), ..Rule::default() });
            continue;
        }
        let rule = rules.last_mut().ok_or("the first rule has no name")?;
        let quoted = value.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match (indent.len(), key) {
            (8, "expr") => value.clone_into(&mut rule.expr),
            (8, "for") if value.ends_with('m') => {}
            (8, "labels" | "annotations") if value.is_empty() => {}
            (10, "severity") => value.clone_into(&mut rule.severity),
            (10, "summary") => quoted.ok_or("a summary is quoted")?.clone_into(&mut rule.summary),
            (10, "runbook") => quoted.ok_or("a runbook is quoted")?.clone_into(&mut rule.runbook),
            _ => return Err(format!("{line:?} has no place")),
        }
    }
    Ok(rules)
}

/// Words of an expression that are names of our figures.
fn figures_in(expr: &str) -> Vec<&str> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    expr.split(|letter: char| !is_name(letter))
        .filter(|word| word.starts_with("watchfire_"))
        .collect()
}

/// The section of the manual under a heading.
fn section<'a>(manual: &'a str, name: &str) -> Option<&'a str> {
    let (_before, rest) = manual.split_once(&format!("\n#### {name}\n"))?;
    Some(rest.split_once("\n#").map_or(rest, |(section, _behind)| section))
}

#[test]
fn each_alarm_has_its_runbook_and_each_runbook_its_alarm() {
    let rules = rules(RULES).expect("the file has its form");
    assert!(rules.len() >= 15, "{rules:?}");
    let mut names = BTreeSet::new();
    for rule in &rules {
        let Rule { alert, expr, severity, summary, runbook } = rule;
        assert!(names.insert(alert.as_str()), "{alert} is there twice");
        assert!(["critical", "warning", "info"].contains(&severity.as_str()), "{rule:?}");
        assert!(!expr.is_empty() && !summary.is_empty(), "{rule:?}");
        assert_eq!(*runbook, format!("docs/OPERATIONS.md#{}", alert.to_lowercase()));
        let section =
            section(OPERATIONS, alert).unwrap_or_else(|| panic!("{alert} has no runbook"));
        let mut rest = section;
        for part in PARTS {
            let behind = rest.split_once(part).map(|(_before, behind)| behind);
            rest = behind.unwrap_or_else(|| panic!("{alert} has no {part}"));
        }
        // The manual says the same as the file.
        assert!(section.contains(&format!("`{expr}`")), "{alert}: the manual has not `{expr}`");
    }
    let headings = OPERATIONS.lines().filter_map(|line| line.strip_prefix("#### Watchfire"));
    for heading in headings {
        assert!(names.contains(format!("Watchfire{heading}").as_str()), "{heading} has no rule");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alarm_is_about_figures_that_there_are() {
    let (world, address) = watched().await;
    let answer = scrape(address).await;
    // Families that have no line as long as nothing is to be told are known by their type.
    let mut shown: BTreeSet<String> = BTreeSet::new();
    for line in answer.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|it| it.split_once(' ')) {
            match kind {
                "counter" => shown.insert(format!("{name}_total")),
                "histogram" => shown.insert(format!("{name}_bucket")),
                _ => shown.insert(name.to_owned()),
            };
        }
    }
    let mut asked = 0;
    for rule in rules(RULES).expect("the file has its form") {
        let named = figures_in(&rule.expr);
        assert!(!named.is_empty() || rule.expr.starts_with("up{"), "{rule:?}");
        for name in named {
            assert!(shown.contains(name), "{}: there is no {name}", rule.alert);
            asked += 1;
        }
    }
    assert!(asked >= 15, "{asked}");
    world.finish();
}

#[test]
fn what_has_another_form_is_noticed() {
    assert!(rules(&RULES.replacen("    rules:", "    rule:", 1)).is_err());
    assert!(rules(&RULES.replacen("        expr:", "       expr:", 1)).is_err());
    assert!(rules(&RULES.replacen("severity:", "severity", 1)).is_err());
    assert!(section(OPERATIONS, "WatchfireNothing").is_none());
    assert_eq!(
        figures_in("watchfire_a{b=\"c\"} > 4 * watchfire_d_total[5m]"),
        ["watchfire_a", "watchfire_d_total"]
    );
}
