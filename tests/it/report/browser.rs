//! The page in a real browser, spoken to over its DevTools protocol: no word on the console, no request leaves the file,
//! both schemes can be read, nothing is wider than a narrow screen, and no script is needed.
//!
//! Without a browser the test says so and passes, unless GROWRUN_BROWSER (a program, or any word) asks for one.
//! GROWRUN_SCREENSHOTS names a folder that takes pictures of what was looked at.

use super::lab::{Lab, SCHEDULE};
use crate::cli::growrun;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// A busy machine takes its time; a browser that hangs fails the test.
const PATIENCE: Duration = Duration::from_secs(90);

fn program() -> Option<PathBuf> {
    let asked = std::env::var("GROWRUN_BROWSER").ok();
    if let Some(path) = asked.as_ref().filter(|path| path.contains('/')) {
        assert!(Path::new(path).is_file(), "GROWRUN_BROWSER is `{path}`, and no program is there");
        return Some(path.into());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = NAMES
        .iter()
        .find_map(|name| std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file()));
    assert!(found.is_some() || asked.is_none(), "GROWRUN_BROWSER asks for a browser, and none of {NAMES:?} is here");
    if found.is_none() {
        // Past the capture of the test's output: a part that was not run must be seen.
        let _ = std::io::stderr().write_all(
            b"\nNOT RUN: the report in a browser, since none is here; install chromium, or name one by GROWRUN_BROWSER\n",
        );
    }
    found
}

/// A browser with one tab.
struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    number: u64,
    /// What has been told since the last page was opened: method and parameters.
    events: Vec<(String, Value)>,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    fn start(program: &Path) -> Browser {
        let profile = tempfile::tempdir().expect("a folder");
        // The protocol's pipes are 3 and 4; a shell can number them, std cannot.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
            .args(["--hide-scrollbars", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the browser starts");
        let (input, mut output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (send, messages) = channel();
        std::thread::spawn(move || {
            let (mut buffer, mut piece) = (Vec::new(), vec![0; 1 << 16]);
            while let Ok(count) = output.read(&mut piece) {
                if count == 0 {
                    return;
                }
                buffer.extend_from_slice(&piece[..count]);
                while let Some(end) = buffer.iter().position(|byte| *byte == 0) {
                    let message: Vec<u8> = buffer.drain(..=end).collect();
                    let message = serde_json::from_slice(&message[..end]).expect("JSON");
                    if send.send(message).is_err() {
                        return;
                    }
                }
            }
        });
        let mut browser =
            Browser { child, input, messages, session: None, number: 0, events: Vec::new(), _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_string);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).expect("the browser listens");
        loop {
            let message = self.next(method);
            if message["id"] == json!(self.number) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
        }
    }

    /// The next message, kept when it is an event.
    fn next(&mut self, waiting_for: &str) -> Value {
        let message = self.messages.recv_timeout(PATIENCE);
        let message = message.unwrap_or_else(|error| panic!("the browser does not answer {waiting_for}: {error}"));
        if let Some(method) = message["method"].as_str() {
            self.events.push((method.into(), message["params"].clone()));
        }
        message
    }

    /// Opens a page and waits for an event of it.
    fn open_until(&mut self, page: &Path, wanted: &str, holds: impl Fn(&Value) -> bool) {
        self.events.clear();
        self.call("Page.navigate", json!({ "url": format!("file://{}", page.display()) }));
        while !self.events.iter().any(|(method, parameters)| method == wanted && holds(parameters)) {
            self.next(wanted);
        }
    }

    fn open(&mut self, page: &Path) {
        self.open_until(page, "Page.loadEventFired", |_| true);
        // What is asked for late; a page without scripts has no frames to wait for.
        std::thread::sleep(Duration::from_millis(100));
        self.evaluate("document.body ? document.body.offsetHeight : 0");
    }

    fn evaluate(&mut self, script: &str) -> Value {
        let asked = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// Everything that was asked for, but the page itself and what stands in it.
    fn requests(&self, page: &Path) -> Vec<String> {
        let own = format!("file://{}", page.display());
        let urls = self.events.iter().filter(|(method, _)| method == "Network.requestWillBeSent");
        let urls = urls.filter_map(|(_, parameters)| parameters["request"]["url"].as_str());
        urls.filter(|url| *url != own && !url.starts_with("data:")).map(str::to_string).collect()
    }

    /// Words on the console, complaints of the browser, exceptions.
    fn console(&self) -> Vec<String> {
        let telling = ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"];
        let told = self.events.iter().filter(|(method, _)| telling.contains(&method.as_str()));
        told.map(|(method, parameters)| format!("{method}: {parameters}")).collect()
    }

    fn dress(&mut self, scheme: &str, (width, height): (u32, u32), is_phone: bool) {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": feature }));
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.call("Emulation.setDeviceMetricsOverride", screen);
    }

    fn picture(&mut self, name: &str, is_whole: bool) {
        let size = self.evaluate(match is_whole {
            true => "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]",
            false => "[innerWidth, innerHeight]",
        });
        self.clipped(name, &json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 }));
    }

    fn clipped(&mut self, name: &str, clip: &Value) {
        let Ok(folder) = std::env::var("GROWRUN_SCREENSHOTS") else { return };
        let asked = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let answer = self.call("Page.captureScreenshot", asked);
        let content = base64(answer["data"].as_str().expect("a picture"));
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), content).expect("written");
    }
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |c: &u8| DIGITS.iter().position(|digit| digit == c).expect("base64") as u32;
    let digits: Vec<u8> = text.bytes().filter(|c| *c != b'=').collect();
    let group = |group: &[u8]| {
        let bits = group.iter().map(digit).fold(0, |bits, digit| (bits << 6) | digit) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

/// The smallest contrast of a text with what is behind it, and the text: by WCAG's formula, from the computed colours.
/// SVG has no backgrounds, so a text there is held against the shape that it is drawn on, or the page.
const CONTRAST: &str = r#"(() => {
  const parse = text => {
    const n = (text.match(/-?[\d.]+(e-?\d+)?/g) || []).map(Number);
    const unit = text.startsWith('color(') ? 255 : 1;
    return text === 'none' || n.length < 3 ? null : [n[0] * unit, n[1] * unit, n[2] * unit, n.length > 3 ? n[3] : 1];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const behind = element => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color) layers.push(color);
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const light = c => [0, 1, 2].map(i => c[i] / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let worst = [99, ''];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest('title, desc, style') || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const svg = element instanceof SVGElement;
    let ground = behind(element);
    const shape = element.previousElementSibling;
    if (svg && shape && (element.classList.contains('badge-text') || element.classList.contains('strata-text'))) {
      const s = getComputedStyle(shape), fill = parse(s.fill);
      if (fill) ground = over([...fill.slice(0, 3), fill[3] * parseFloat(s.fillOpacity)], ground);
    }
    const color = over(parse(svg ? style.fill : style.color), ground);
    const [a, b] = [light(color), light(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst[0]) worst = [ratio, element.outerHTML.slice(0, 200)];
  }
  return worst;
})()"#;

/// A page in every dress. `name`: of its pictures.
fn look_at(browser: &mut Browser, page: &Path, name: &str) {
    let mut backgrounds = Vec::new();
    for script in [false, true] {
        browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": !script }));
        for scheme in ["light", "dark"] {
            for (size, is_phone) in [((1200, 900), false), ((390, 844), true), ((320, 568), true)] {
                browser.dress(scheme, size, is_phone);
                browser.open(page);
                let dress = format!("{name} {scheme} {size:?}");
                assert_eq!(browser.console(), [""; 0], "{dress}");
                assert_eq!(browser.requests(page), [""; 0], "{dress}");
                let seen = browser.evaluate(
                    "({ wide: document.documentElement.scrollWidth, screen: innerWidth, \
                     back: getComputedStyle(document.body).backgroundColor, text: document.body.innerText.length, \
                     scripts: document.scripts.length, pictures: document.images.length, figures: \
                     [...document.querySelectorAll('svg.figure')].filter(f => f.getBoundingClientRect().width > 100).length })",
                );
                let number = |key: &str| seen[key].as_f64().expect("a number");
                assert!(number("wide") <= number("screen"), "{dress}: the page scrolls sideways: {seen}");
                assert!(number("screen") <= f64::from(size.0), "{dress}: the page made its screen wider: {seen}");
                assert!(number("text") > 500.0, "{dress}: {seen}");
                assert_eq!((number("scripts"), number("pictures")), (0.0, 0.0), "{dress}");
                let worst = browser.evaluate(CONTRAST);
                let (ratio, element) = (&worst[0], &worst[1]);
                assert!(ratio.as_f64().expect("a number") >= 4.5, "{dress}: contrast {ratio} of {element}");
                if size.0 == 1200 && !script {
                    backgrounds.push(seen["back"].clone());
                }
                if !script {
                    browser.picture(&format!("{name}-{scheme}-{}", size.0), true);
                }
            }
        }
    }
    assert_ne!(backgrounds[0], backgrounds[1], "{name}: the dark scheme is a scheme of its own");
}

fn report(path: &Path) -> PathBuf {
    let ran = growrun(Path::new("/"), &["report", path.to_str().expect("UTF-8")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    std::fs::canonicalize(path.join("report.html")).expect("the page")
}

#[test]
fn pages_in_a_browser() {
    let Some(program) = program() else { return };
    let mut browser = Browser::start(&program);
    let (_lab, run) = Lab::trained();
    let page = report(&run);
    look_at(&mut browser, &page, "run");
    let (_images, images) = Lab::of_images();
    look_at(&mut browser, &report(&images), "images");
    browser.open(&page);
    // Paper has a scheme of its own.
    browser.call(
        "Emulation.setEmulatedMedia",
        json!({ "media": "print", "features": [{ "name": "prefers-color-scheme", "value": "dark" }] }),
    );
    assert_eq!(browser.evaluate("getComputedStyle(document.body).backgroundColor"), json!("rgb(255, 255, 255)"));
    browser.call("Emulation.setEmulatedMedia", json!({ "media": "" }));
    let (_lab, comparison) = Lab::compared();
    look_at(&mut browser, &report(&comparison), "comparison");
}

/// The figure as a file of its own is drawn by a browser too.
#[test]
fn a_figure_in_a_browser() {
    let Some(program) = program() else { return };
    let mut browser = Browser::start(&program);
    let (_lab, run) = Lab::trained();
    let ran = growrun(&run, &["report", ".", "--format", "svg"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let page = std::fs::canonicalize(run.join("report.svg")).expect("the figure");
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.dress(scheme, (800, 900), false);
        browser.open(&page);
        assert_eq!((browser.console(), browser.requests(&page)), (Vec::new(), Vec::new()));
        assert_eq!(browser.evaluate("document.documentElement.tagName"), json!("svg"));
        grounds.push(browser.evaluate("getComputedStyle(document.querySelector('rect')).fill"));
        browser.picture(&format!("figure-{scheme}"), false);
    }
    assert_ne!(grounds[0], grounds[1]);
}

/// A schedule, names and a record by somebody who wants the reader's browser to ask for something.
#[test]
fn a_strangers_page_asks_for_nothing() {
    let Some(program) = program() else { return };
    let mut browser = Browser::start(&program);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("it can");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let evil = format!(
        "</script></style></title></svg><img src={address}/a><script src={address}/b></script>\
         <link rel=stylesheet href={address}/c><style>@import url({address}/d);body{{background:url({address}/e)}}</style>\
         \" onload=\"fetch('{address}/f')\" ' style='background:url({address}/g)' <iframe src={address}/h></iframe>"
    );
    let lab = Lab::new();
    let comment = format!("{SCHEDULE}# {evil}\n");
    std::fs::write(lab.path("sides.grow"), comment).expect("written");
    let run = lab.train("sides.grow", "runs", 7);
    let path = run.join("run.yaml");
    let world = growrun::base::world::Real::default();
    let mut record = growrun::record::load::record(&world, &run).expect("a record");
    for text in [&mut record.name, &mut record.data.source, &mut record.host.cpu, &mut record.growrun.commit] {
        *text = evil.clone();
    }
    (record.status, record.reason) = ("failed".into(), Some(evil.clone()));
    record.events[0].detail = evil.clone();
    record.events[0].layers = format!("input:4 {}:dense:3:relu out:dense:2:linear", evil.replace([' ', ':'], ""));
    record.resolved.model.layers[0].name = evil.clone();
    record.data.class_names = vec![evil.clone(), evil.clone()];
    std::fs::write(&path, growrun::record::yaml::write(&record)).expect("written");
    let line = serde_json::json!({ "step": 30, "flops": 1, "val_accuracy": 0.5, evil.as_str(): 1.0 });
    std::fs::write(run.join("metrics.jsonl"), format!("{line}\n")).expect("written");
    look_at(&mut browser, &report(&run), "hostile");
    assert!(listener.accept().is_err(), "somebody was asked");

    // The control: the same test sees a picture from elsewhere, on a page without our policy and on one with it.
    let page = std::fs::canonicalize(lab.folder.path()).expect("a folder").join("control.html");
    let control = |policy: &str| format!("<!doctype html>{policy}<p>text<img src='{address}/control.png'>");
    std::fs::write(&page, control("")).expect("written");
    browser.open_until(&page, "Network.requestWillBeSent", |asked| asked.to_string().contains("control.png"));
    assert!(browser.requests(&page).iter().any(|url| url.ends_with("control.png")), "{:?}", browser.requests(&page));
    let heard = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        listener.accept().is_ok()
    });
    assert!(heard, "the listener hears what leaves the browser");
    std::fs::write(&page, control(POLICY)).expect("written");
    browser.open_until(&page, "Log.entryAdded", |told| told.to_string().contains("Content Security Policy"));
    assert!(!browser.console().is_empty());
}

const POLICY: &str = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">";

/// The pictures of the documents: `GROWRUN_SCREENSHOTS=/tmp/pictures cargo test --test it -- --ignored pictures`.
#[test]
#[ignore = "makes pictures to look at, and checks nothing"]
fn pictures() {
    let Some(program) = program() else { return };
    let mut browser = Browser::start(&program);
    let lab = Lab::new();
    let example = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules").join(name);
        std::fs::read_to_string(path).expect("an example")
    };
    for name in ["residual", "plateau", "quickstart"] {
        std::fs::write(lab.path(&format!("{name}.grow")), example(&format!("{name}.grow"))).expect("written");
    }
    let mut pages: Vec<(&str, PathBuf)> = ["residual", "plateau", "quickstart"]
        .map(|name| (name, report(&lab.train(&format!("{name}.grow"), "runs", 3))))
        .into();
    let ran = growrun(lab.folder.path(), &["compare", "quickstart.grow", "--out", "compared", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let folder =
        std::fs::read_dir(lab.path("compared/quickstart")).expect("a folder").next().expect("one").expect("read");
    pages.push(("arms", report(&folder.path())));
    for (name, page) in &pages {
        for scheme in ["light", "dark"] {
            for (size, is_phone) in [((1200, 1420), false), ((390, 844), true)] {
                browser.dress(scheme, size, is_phone);
                browser.open(page);
                browser.picture(&format!("{name}-{scheme}-{}", size.0), true);
                browser.picture(&format!("{name}-{scheme}-{}-top", size.0), false);
                let parts = "[...document.querySelectorAll('section')].map(s => [s.id, s.offsetTop, s.offsetHeight])";
                for part in browser.evaluate(parts).as_array().expect("a list") {
                    let clip = json!({ "x": 0, "y": part[1], "width": size.0, "height": part[2], "scale": 1 });
                    let part = part[0].as_str().expect("an id");
                    browser.clipped(&format!("{name}-{scheme}-{}-{part}", size.0), &clip);
                }
            }
        }
    }
}
