//! From the SQL the operations and the schema are written in to PostgreSQL's.
//!
//! Only what differs is touched: how a parameter is written, the names of three types, and what SQLite says after a table.
//! Texts compare by their bytes in both (`COLLATE "C"`), so that an order never depends on how a server was set up.

/// Words of the schema, longest first, and what PostgreSQL says instead.
const WORDS: [(&str, &str); 6] = [
    ("INTEGER PRIMARY KEY", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    ("STRICT, WITHOUT ROWID", ""),
    ("INTEGER", "BIGINT"),
    ("STRICT", ""),
    ("BLOB", "BYTEA"),
    ("TEXT", "TEXT COLLATE \"C\""),
];

/// What of a step of the schema is meant for a database: after a line `-- only NAME` it is meant for that one, until a line
/// `-- both`. So are triggers written, which each says in its own way.
pub(super) fn part(step: &str, database: &str) -> String {
    let mut meant = true;
    let mut sql = String::with_capacity(step.len());
    for line in step.lines() {
        match line.strip_prefix("-- only ") {
            Some(only) => meant = only == database,
            None if line == "-- both" => meant = true,
            None => {}
        }
        if meant {
            sql.push_str(line);
            sql.push('\n');
        }
    }
    sql
}

/// A step of the schema. Comments are left out.
pub(super) fn schema(step: &str) -> String {
    let step = part(step, "PostgreSQL");
    let mut sql = String::with_capacity(step.len());
    for line in step.lines() {
        let mut rest = line.split_once("--").map_or(line, |(code, _)| code);
        while let Some(next) = rest.chars().next() {
            let quoted = if next == '\'' { rest[1..].find('\'').map(|end| &rest[..end + 2]) } else { None };
            let starts_word = !sql.ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_');
            let word = WORDS.iter().find(|(word, _)| {
                let after = rest.strip_prefix(word).map(|after| after.chars().next());
                starts_word && after.is_some_and(|after| !after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_'))
            });
            let (taken, instead) = match (quoted, word) {
                (Some(text), _) => (text.len(), text),
                (None, Some((word, instead))) => (word.len(), *instead),
                (None, None) => (next.len_utf8(), &rest[..next.len_utf8()]),
            };
            sql.push_str(instead);
            rest = &rest[taken..];
        }
        sql.push('\n');
    }
    sql
}

/// A statement: `?1` becomes `$1`, but not within quotes.
pub(super) fn statement(sql: &str) -> String {
    let mut quoted = false;
    sql.chars()
        .map(|c| {
            quoted ^= c == '\'';
            if c == '?' && !quoted { '$' } else { c }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_dollars_and_quoted_question_marks_stay() {
        assert_eq!(statement("a = ?1 AND b = 'why ?1' AND c = ?12"), "a = $1 AND b = 'why ?1' AND c = $12");
    }

    #[test]
    fn each_database_gets_its_own_part() {
        let step = "a\n-- only SQLite\nb\n-- only PostgreSQL\nc\n-- both\nd\n";
        let words = |database| part(step, database).lines().filter(|line| !line.starts_with("--")).collect::<String>();
        assert_eq!((words("SQLite"), words("PostgreSQL")), ("abd".to_owned(), "acd".to_owned()));
    }

    #[test]
    fn types_are_translated_and_names_and_comments_are_not() {
        let step = "CREATE TABLE t ( -- INTEGER\n id INTEGER PRIMARY KEY, n INTEGER, b BLOB, TEXTURE TEXT CHECK (a = 'TEXT')\n) STRICT, WITHOUT ROWID;";
        let expected = "CREATE TABLE t ( \n id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n BIGINT, b BYTEA, \
                        TEXTURE TEXT COLLATE \"C\" CHECK (a = 'TEXT')\n) ;\n";
        assert_eq!(schema(step), expected);
    }
}
