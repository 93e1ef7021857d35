//! Reports: what is in the file, and what a browser makes of it.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;

use crate::browser::{Page, browser};
use crate::tools::{Bench, SMALL, Value};

/// The packed blocks of a page, unpacked.
fn blocks(html: &str) -> BTreeMap<String, Vec<u8>> {
    let start = "<script type=\"application/octet-stream\" id=\"b-";
    let mut found = BTreeMap::new();
    for part in html.split(start).skip(1) {
        let (name, rest) = part.split_once("\">").unwrap();
        let (packed, _) = rest.split_once("</script>").unwrap();
        if name != "thumbs" {
            let packed = STANDARD.decode(packed).unwrap();
            let mut bytes = Vec::new();
            GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
            found.insert(name.to_string(), bytes);
        }
    }
    found
}

fn json(blocks: &BTreeMap<String, Vec<u8>>, name: &str) -> Value {
    serde_json::from_slice(&blocks[name]).unwrap()
}

fn words(blocks: &BTreeMap<String, Vec<u8>>, name: &str) -> Vec<u32> {
    let words = blocks[name].chunks_exact(4);
    words
        .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]))
        .collect()
}

/// Titles that would be markup, code or an end of the script where they were read as such.
const HOSTILE: &[&str] = &[
    "</script><img src=x onerror=window.hacked=1>",
    "<!--<script>window.hacked=1</script>",
    "<svg onload=window.hacked=1> kopi luwak",
    "javascript:window.hacked=1 kopi luwak",
    "${window.hacked=1} {{7*7}} kopi luwak bubuk",
    "kopi \u{202e}luwak bubuk \u{2028} \u{0} \" ' ` & &lt;b&gt;",
];

fn hostile(bench: &Bench) {
    let mut csv = String::from("posting_id,image,title,label_group\n");
    for (i, title) in HOSTILE.iter().enumerate() {
        let title = title.replace('"', "\"\"");
        csv += &format!(
            "<b>id{i}</b>,\"../\"\"><img src=x onerror=window.hacked=1>.jpg\",\"{title}\",\"<i onclick=x>{}</i>\"\n",
            i / 2
        );
    }
    csv += "same,,kopi luwak bubuk,1\nsame,,kopi luwak bubuk,1\n";
    bench.write("hostile.csv", csv);
    bench.write("photos/none.txt", "");
}

#[test]
fn a_report_holds_the_run_and_changes_nothing_of_it() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    bench
        .engine("match l.csv --out plain.csv --pairs plain-pairs.csv --no-work")
        .ends(0);
    let line = "match l.csv --out m.csv --pairs p.csv --report r.html --no-work --json";
    let said = bench.engine(line).ends(0).json();
    assert_eq!(bench.read("m.csv"), bench.read("plain.csv"));
    assert_eq!(bench.read("p.csv"), bench.read("plain-pairs.csv"));
    let html = bench.read("r.html");
    assert_eq!(said["report"]["bytes"], html.len());
    assert_eq!(said["report"]["path"], "r.html");

    let blocks = blocks(&html);
    let meta = json(&blocks, "meta");
    assert_eq!(meta["listings"], 6);
    assert_eq!(
        meta["rule"]["text"],
        "equal(phash) or sweep(tfidf < 0.25 to 0.5 by 0.2)"
    );
    assert_eq!(meta["rule"]["numbers"].as_array().unwrap().len(), 3);
    assert_eq!(meta["sources"][1]["name"], "tfidf");
    let score = bench.engine("evaluate m.csv l.csv --json").ends(0).json();
    assert_eq!(meta["figures"]["f1"], score["f1"]);
    let listings = json(&blocks, "listings");
    assert_eq!(listings["title"][1], "Sepatu Olahraga Pria");
    assert_eq!(listings["title"][5], Value::Null);
    // a and b by their hash, c and d by their titles.
    assert_eq!(words(&blocks, "match-at"), [0, 1, 2, 3, 4, 4, 4]);
    assert_eq!(words(&blocks, "match-row"), [1, 0, 3, 2]);
    assert_eq!(blocks["match-source"], [0, 0, 1, 1]);
    // Each modality's score of both pairs: a and b have no word in common.
    let titles: Vec<u16> = blocks["pair-d-1"]
        .chunks_exact(2)
        .map(|w| u16::from_le_bytes([w[0], w[1]]))
        .collect();
    assert_eq!(titles[0], 20_000);
    assert!(titles[1] < 10_000, "{titles:?}");
    assert_eq!(
        bench.names(),
        [
            "l.csv",
            "m.csv",
            "p.csv",
            "plain-pairs.csv",
            "plain.csv",
            "r.html"
        ]
    );
}

/// A rule that joins `a` with `b` and `b` with `c`, and steps behind it: `a` and `c` match as a group alone,
/// and `d` not at all, for its quantity.
const STEPS: &str = "name = \"steps\"\nfusion = \"tfidf < .45\"\nconflicts = [\"units\"]\n\
    groups = { by = \"components\" }\nchisel = [[3, 0.5]]\n[spaces.tfidf]\ntfidf = {}\n";
const CHAIN: &str = "posting_id,title,label_group\na,merah putih kopi luwak,1\nb,kopi luwak bubuk murah,1\n\
    c,bubuk murah teh hijau,1\nd,kopi luwak bubuk murah 200 gr,2\ne,kopi luwak bubuk murah 500 gr,2\nf,boneka,3\n";

#[test]
fn what_follows_the_rule_is_told() {
    let bench = Bench::new();
    bench.write("l.csv", CHAIN);
    bench.write("steps.toml", STEPS);
    let line =
        "match l.csv --recipe steps.toml --out m.csv --pairs p.csv --report r.html --no-work";
    bench.engine(line).ends(0);
    let pairs = bench.read("p.csv");
    assert!(pairs.contains(",group,"), "{pairs}");
    let html = bench.read("r.html");
    let blocks = blocks(&html);
    let meta = json(&blocks, "meta");
    assert_eq!(meta["more"], true);
    assert_eq!(meta["after"], serde_json::json!(["group"]));
    assert_eq!(meta["steps"].as_array().unwrap().len(), 3);
    assert!(blocks["match-source"].contains(&1), "{pairs}");
    assert!(!blocks.contains_key("near-at-1"));
    let Some(browser) = browser() else { return };
    let file = bench.path("r.html");
    let mut page = Page::open(&browser, &file, (1280, 900), false);
    page.js("document.querySelectorAll('.more button').forEach((b) => b.click())");
    let shown = page.js("document.getElementById('groups').textContent");
    let shown = shown.as_str().unwrap();
    assert!(
        shown.contains("Behind the rule") && shown.contains("✓ group"),
        "{shown}"
    );
    let about = page.js("document.getElementById('about').textContent");
    assert!(
        about.as_str().unwrap().contains("groups (components)"),
        "{about}"
    );
    // The sliders cut by the rule alone, and say so.
    page.js("document.getElementById('n0').focus()");
    page.key("ArrowRight");
    page.wait(
        "document.getElementById('cut-state').textContent.includes('after its rule is not done')",
    );
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[test]
fn pictures_beyond_the_bound_are_linked() {
    let bench = Bench::new();
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let csv = std::fs::read_to_string(demo.join("listings.csv")).unwrap();
    let mut some = String::from("posting_id,image,title\n");
    for (i, line) in csv.lines().skip(1).take(24).enumerate() {
        let image = demo.join("images").join(line.split(',').nth(1).unwrap());
        let name = format!("<img src=x onerror=window.hacked=1> #{i}? 100%25 'n &amp;.jpg");
        bench.write(
            &format!("photos & co/{name}"),
            std::fs::read(image).unwrap(),
        );
        some += &format!("p{i},{name},listing {i}\n");
    }
    bench.write("l.csv", some);
    std::fs::create_dir(bench.path("out")).unwrap();
    let listings = doppel::listings::Listings::read(&bench.path("l.csv")).unwrap();
    let options = doppel::explore::Options {
        images: Some(bench.path("photos & co")),
        ..Default::default()
    };
    let explored = doppel::explore::explore(&listings, &options, &|_, _| {}).unwrap();
    let file = bench.path("out/e.html");
    let most = 470_000;
    let written = doppel::explore::write_within(most, &file, &listings, &explored).unwrap();
    assert!(written.bytes <= most, "{written:?}");
    assert!(written.embedded > 0 && written.linked > 0, "{written:?}");
    assert_eq!(written.embedded + written.linked, 24);
    let html = bench.read("out/e.html");
    assert!(!html.contains("onerror=") && !html.contains("window.hacked"));
    let files = json(&blocks(&html), "files");
    assert_eq!(files["folder"], "../photos & co");
    assert_eq!(files["names"].as_array().unwrap().len(), 24);
    // What does not fit at all is refused, and leaves nothing.
    let small = bench.path("out/s.html");
    let error = doppel::explore::write_within(9_000, &small, &listings, &explored).unwrap_err();
    assert!(error.to_string().contains("may have 9000"), "{error}");
    assert!(!small.exists());
    let Some(browser) = browser() else { return };
    let mut page = Page::open(&browser, &file, (1280, 900), false);
    page.js("document.getElementById('tab-find').click(); $('search').value = 'listing'; find(); resultPager.size = 30; resultPager.go(0)");
    let shown = "(() => { const all = [...document.querySelectorAll('#results img')]; \
        all.forEach((i) => i.loading = 'eager'); \
        return all.length === 24 && all.every((i) => i.complete && i.naturalWidth > 0); })()";
    page.wait(shown);
    let linked = "[...document.querySelectorAll('#results img')].filter((i) => !i.src.startsWith('data:')).length";
    assert_eq!(page.js(linked), written.linked);
    assert_eq!(page.js("typeof window.hacked"), "undefined");
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[test]
fn rows_that_repeat_their_id_count_as_equal() {
    let bench = Bench::new();
    let again = "a,a.jpg,ffff0000ffff0000,Kopi Bubuk Luwak Arabika 200 gr,1\nb,,,another,1\n";
    bench.write("l.csv", format!("{SMALL}{again}"));
    let line = "explore l.csv --out e.html --json --map-points 0";
    let said = bench.engine(line).ends(1).json();
    assert_eq!(said["duplicates"]["repeated_ids"], 2);
    assert_eq!(said["duplicates"]["whole_rows"], 1);
    assert_eq!(said["duplicates"]["rows"], 0);
}

#[test]
fn the_same_bytes_whatever_the_threads() {
    let bench = Bench::new();
    bench
        .engine("synth --listings 400 --out m --no-images")
        .ends(0);
    for threads in [1, 3] {
        let line = format!(
            "match m/listings.csv --out m{threads}.csv --report r{threads}.html --no-work --threads {threads}"
        );
        bench.engine(&line).ends(0);
        let line = format!(
            "explore m/listings.csv --out e{threads}.html --map-points 60 --folds 3 --threads {threads}"
        );
        bench.engine(&line).ends(0);
    }
    assert!(bench.read("r1.html") == bench.read("r3.html"));
    assert!(bench.read("e1.html") == bench.read("e3.html"));
}

#[test]
fn nothing_of_a_listing_is_markup() {
    let bench = Bench::new();
    hostile(&bench);
    bench
        .engine("match hostile.csv --images photos --out m.csv --report r.html --no-work")
        .ends(1);
    bench
        .engine("explore hostile.csv --images photos --out e.html --map-points 20")
        .ends(1);
    for page in ["r.html", "e.html"] {
        let html = bench.read(page);
        assert!(
            !html.contains("onerror=") && !html.contains("window.hacked"),
            "{page}"
        );
        assert!(
            html.contains("Content-Security-Policy\" content=\"default-src 'none'"),
            "{page}"
        );
        assert_eq!(html.matches("<script>").count(), 1, "{page}");
        assert_eq!(
            html.matches("<script").count(),
            html.matches("</script>").count(),
            "{page}"
        );
        // A namespace is the one address in it.
        let addresses = html.matches("://").count();
        assert_eq!(
            addresses,
            html.matches("\"http://www.w3.org/2000/svg\"").count(),
            "{page}"
        );
        let listings = json(&blocks(&html), "listings");
        assert_eq!(listings["title"][0], HOSTILE[0]);
        assert_eq!(listings["id"][1], "<b>id1</b>");
    }
}

#[test]
fn a_report_against_a_gallery_is_refused() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    let ran = bench
        .engine("match l.csv --against l.csv --out m.csv --report r.html")
        .ends(2);
    assert!(
        ran.err.contains("--against") && ran.err.contains("--report"),
        "{}",
        ran.err
    );
    let lines = ran.err.lines().filter(|l| l.starts_with("error"));
    assert_eq!(lines.count(), 1, "{}", ran.err);
    assert!(!bench.path("m.csv").exists() && !bench.path("r.html").exists());
    bench
        .engine("match l.csv --out m.csv --report m.csv")
        .fails_with(&["m.csv", "named twice"]);
    bench
        .engine("explore l.csv --out l.csv")
        .fails_with(&["l.csv", "named twice"]);
    let far = "explore l.csv --out e.html --groups 9";
    bench.engine(far).fails_with(&["label_group 9"]);
}

/// How much lighter or darker each visible text is than what it stands on; the worst of all.
const CONTRAST: &str = r#"(() => {
  const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const light = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }; return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const back = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > .9) return c; } return [255, 255, 255, 1]; };
  let worst = [99, ""];
  for (const e of document.querySelectorAll("body *")) {
    if (e.closest("svg, script, style, noscript, :disabled, option") || !e.getClientRects().length) continue;
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(back(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 120)];
  }
  return worst;
})()"#;

fn readable(page: &mut Page, what: &str) {
    let worst = page.js(CONTRAST);
    assert!(worst[0].as_f64().unwrap() >= 4.5, "{what}: {worst}");
}

/// Some of the demo's listings, their report and their page, made once for all tests.
fn demo() -> &'static Bench {
    static MADE: std::sync::OnceLock<Bench> = std::sync::OnceLock::new();
    MADE.get_or_init(|| {
        let bench = Bench::new();
        let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
        let csv = std::fs::read_to_string(demo.join("listings.csv")).unwrap();
        let some: String = csv
            .lines()
            .take(61)
            .map(|line| format!("{line}\n"))
            .collect();
        for line in some.lines().skip(1) {
            let image = line.split(',').nth(1).unwrap();
            bench.write(
                &format!("images/{image}"),
                std::fs::read(demo.join("images").join(image)).unwrap(),
            );
        }
        bench.write("l.csv", some);
        let line = "match l.csv --images images --out m.csv --report r.html --no-work";
        bench.engine(line).ends(0);
        let line = "explore l.csv --images images --out e.html --map-points 30 --folds 3";
        bench.engine(line).ends(0);
        bench
    })
}

const DIFFER: &str = "(() => { const c = cutter.cut(meta.rule.numbers.map((n) => n.value)); const \
    set = (m, i) => [...m.row.subarray(m.at[i], m.at[i + 1])].sort().join(); let n = 0; for (let i = 0; \
    i < data.unable.length; i++) n += set(c, i) !== set(data.run, i); return n; })()";

#[test]
fn a_browser_shows_the_report() {
    let Some(browser) = browser() else { return };
    let bench = demo();
    let file = bench.path("r.html");
    let mut page = Page::open(&browser, &file, (1280, 900), false);
    assert!(page.errors().is_empty(), "{:?}", page.errors());

    // The page's own rule gives what the run gave, and the same score.
    assert_eq!(page.js(DIFFER), 0);
    let line = "evaluate m.csv l.csv --json";
    let f1 = bench.engine(line).ends(0).json()["f1"].as_f64().unwrap();
    assert!((page.js("data.runScore.f1").as_f64().unwrap() - f1).abs() < 1e-12);
    let tile = |page: &mut Page, name: &str| {
        page.js(&format!(
            "document.querySelector('[data-figure=\"{name}\"]').firstChild.data"
        ))
    };
    assert_eq!(tile(&mut page, "F1"), format!("{f1:.4}"));

    // A slider, moved by the keyboard, cuts anew; what it gives is what the engine gives.
    let before = tile(&mut page, "Pairs, both ways");
    page.js("document.getElementById('n1').focus()");
    for _ in 0..10 {
        page.key("ArrowRight");
    }
    page.wait("state.values[1] > .549 && state.values[1] < .551 && state.moved");
    page.wait(&format!(
        "document.querySelector('[data-figure=\"Pairs, both ways\"]').firstChild.data !== {before}"
    ));
    let recipe = "name = \"looser\"\nfusion = \"equal(phash) or sweep(tfidf < .25 to .55 by .2)\"\n\
                  [spaces.phash]\nphash = true\n[spaces.tfidf]\n\
                  tfidf = { stop_words = \"english\", max_features = 25000 }\n";
    bench.write("looser.toml", recipe);
    let line = "match l.csv --images images --recipe looser.toml --out looser.csv --no-work --json";
    let looser = bench.engine(line).ends(0).json();
    assert_eq!(
        tile(&mut page, "Pairs, both ways"),
        looser["matched_pairs"].to_string()
    );
    page.js("document.getElementById('reset').click()");
    page.wait(&format!(
        "document.querySelector('[data-figure=\"Pairs, both ways\"]').firstChild.data === {before}"
    ));

    // Why they match, what only just did not, and curves.
    page.js("document.querySelectorAll('.more button').forEach((b) => b.click())");
    assert!(
        page.js("document.querySelectorAll('table.pairs tbody tr').length")
            .as_u64()
            > Some(10)
    );
    assert!(page.js("document.getElementById('groups').textContent.includes('✓ > 0.5')") == true);
    assert!(
        page.js("document.getElementById('groups').textContent.includes('needs more than 0.500')")
            == true
    );
    page.js("document.getElementById('tab-curves').click()");
    page.wait("document.querySelectorAll('#curve path').length === 3");
    page.wait("curves.points.length === POINTS");
    assert!(page.errors().is_empty(), "{:?}", page.errors());
    assert!(page.requests().is_empty(), "{:?}", page.requests());
}

#[test]
fn the_keyboard_is_enough() {
    let Some(browser) = browser() else { return };
    let bench = demo();
    let file = bench.path("r.html");
    let mut page = Page::open(&browser, &file, (1280, 900), false);
    page.key("Tab");
    assert_eq!(page.js("document.activeElement.className"), "skip");
    assert_ne!(
        page.js("getComputedStyle(document.activeElement).outlineStyle"),
        "none"
    );
    page.key("j");
    let at = "[...document.querySelectorAll('#groups article')].indexOf(document.activeElement)";
    assert_eq!(page.js(at), 0);
    assert_ne!(
        page.js("getComputedStyle(document.activeElement).outlineStyle"),
        "none"
    );
    page.key("j");
    page.key("j");
    page.key("k");
    assert_eq!(page.js(at), 1);
    // Past the last one the next page comes.
    for _ in 0..9 {
        page.key("j");
    }
    assert_eq!(page.js("pager.at"), 1);
    assert_eq!(page.js(at), 0);
    page.key("/");
    assert_eq!(page.js("document.activeElement.id"), "search");
    for key in "milk".chars() {
        page.key(&key.to_string());
    }
    page.wait("document.getElementById('found').textContent.includes('found')");
    assert_eq!(page.js("document.getElementById('search').value"), "milk");
    let shown = "[...document.querySelectorAll('#groups article')].every((a) => /milk/i.test(a.textContent))";
    page.wait(shown);
    page.key("Escape");
    page.js("document.getElementById('tab-groups').focus()");
    page.key("ArrowRight");
    assert_eq!(page.js("document.activeElement.id"), "tab-curves");
    assert_eq!(
        page.js("document.getElementById('view-curves').hidden"),
        false
    );
    // What is focused by Tab is on the page, and has a name.
    page.js("document.getElementById('tab-groups').click()");
    for _ in 0..25 {
        page.key("Tab");
        let named = "(() => { const e = document.activeElement; return e === document.body || !!(e.innerText \
            || e.ariaLabel || e.getAttribute('aria-label') || e.labels?.[0]?.innerText); })()";
        assert_eq!(
            page.js(named),
            true,
            "{}",
            page.js("document.activeElement.outerHTML")
        );
    }
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[test]
fn pages_are_readable_on_a_phone_and_in_the_dark() {
    let Some(browser) = browser() else { return };
    let bench = demo();
    let reports = ["groups", "curves", "rejects", "about"];
    let explores = [
        "overview", "groups", "titles", "images", "folds", "map", "find",
    ];
    let files = [("r.html", &reports[..]), ("e.html", &explores[..])];
    for (file, views) in files {
        let mut pictures = Vec::new();
        for dark in [false, true] {
            let mut page = Page::open(&browser, &bench.path(file), (360, 740), dark);
            pictures.push(page.picture());
            page.js("document.querySelectorAll('.more button').forEach((b) => b.click())");
            for view in views {
                page.js(&format!("document.getElementById('tab-{view}').click()"));
                let what = format!("{file} {view} {dark}");
                page.wait(&format!(
                    "document.getElementById('view-{view}').hasChildNodes()"
                ));
                let wide = page.js("document.documentElement.scrollWidth");
                assert!(wide.as_u64() <= Some(360), "{what}: {wide}");
                readable(&mut page, &what);
            }
            assert!(page.errors().is_empty(), "{file}: {:?}", page.errors());
            assert!(page.requests().is_empty(), "{file}: {:?}", page.requests());
        }
        assert_ne!(
            pictures[0], pictures[1],
            "{file}: light and dark are the same"
        );
    }
}

#[test]
fn hostile_titles_are_shown_as_they_stand() {
    let Some(browser) = browser() else { return };
    let bench = Bench::new();
    hostile(&bench);
    bench
        .engine("match hostile.csv --images photos --out m.csv --report r.html --no-work")
        .ends(1);
    bench
        .engine("explore hostile.csv --images photos --out e.html --map-points 20")
        .ends(1);
    for file in ["r.html", "e.html"] {
        let mut page = Page::open(&browser, &bench.path(file), (1000, 800), false);
        if file == "r.html" {
            page.js(
                "(() => { document.getElementById('show').value = 'all'; arrange(); \
                document.querySelectorAll('.more button').forEach((b) => b.click()); })()",
            );
            let shown = page.js("document.getElementById('groups').textContent");
            assert!(shown.as_str().unwrap().contains(HOSTILE[0]), "{shown}");
        } else {
            for view in ["groups", "titles", "images", "map", "find"] {
                page.js(&format!("document.getElementById('tab-{view}').click()"));
            }
            page.wait("document.querySelectorAll('.map').length > 0");
        }
        assert_eq!(page.js("typeof window.hacked"), "undefined", "{file}");
        assert_eq!(
            page.js("document.querySelectorAll('[onerror], [onload], [onclick]').length"),
            0
        );
        // What a page would let in, its policy does not.
        page.js(
            "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.hacked=1>')",
        );
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(page.js("typeof window.hacked"), "undefined", "{file}");
    }
}
