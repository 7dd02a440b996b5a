//! The story that `make demo` tells, as a test: everything must happen as told, and the report must show it.

use cardea_tests::story::telling::Telling;
use cardea_tests::{report, site, story};

const CHAPTERS: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn everything_happens_as_told_and_the_report_shows_it() -> anyhow::Result<()> {
    site::prepare()?;
    let folder = tempfile::tempdir()?;
    let telling = story::tell(&folder.path().join("site"), site::now()).await?;
    assert!(telling.as_told(), "{}", failures(&telling));
    assert_eq!(telling.chapters.len(), CHAPTERS);

    let page = report::html(&telling);
    for chapter in &telling.chapters {
        let title = report::escape(&chapter.title);
        assert!(page.contains(&format!("{}. {title}", chapter.number)), "the report lacks chapter {title:?}");
        assert!(!chapter.steps.is_empty(), "nothing was tried in chapter {title:?}");
        for step in &chapter.steps {
            assert!(page.contains(&report::escape(&step.what)), "the report lacks {:?} of {title:?}", step.what);
        }
    }
    let pictures: usize = telling.chapters.iter().map(|chapter| chapter.pictures.len()).sum();
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), pictures);
    assert!(pictures > 0 && !telling.latencies.is_empty());
    Ok(())
}

fn failures(telling: &Telling) -> String {
    let failed = |chapter: &story::telling::Chapter| {
        let failure = chapter.failure.as_ref()?;
        Some(format!("chapter {} ({}): {failure}", chapter.number, chapter.title))
    };
    telling.chapters.iter().filter_map(failed).collect::<Vec<_>>().join("\n")
}
