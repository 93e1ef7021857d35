//! A page in headless Chromium, driven by its DevTools protocol over a pipe.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

/// How long a page may take to open, on a machine that does other things too.
const OPENS: Duration = Duration::from_secs(60);

/// The browser that is on the path; none, and a line that says so, where there is none.
/// `DOPPEL_BROWSER_REQUIRED` makes that an error.
pub fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ];
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let all = names
        .iter()
        .flat_map(|name| folders.iter().map(move |f| f.join(name)));
    let found = all.into_iter().find(|file| file.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("DOPPEL_BROWSER_REQUIRED").is_none(),
            "no chromium on the path"
        );
        eprintln!("skipped: no chromium on the path, so no page is opened");
    }
    found
}

/// An open page.
pub struct Page {
    child: Child,
    to: Option<ChildStdin>,
    from: ChildStdout,
    read: Vec<u8>,
    last: u64,
    session: Option<String>,
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Page {
    /// Opens the file and waits until the page says that it is ready.
    pub fn open(browser: &Path, file: &Path, (width, height): (u32, u32), dark: bool) -> Page {
        let profile = tempfile::tempdir().unwrap();
        // The protocol is read from descriptor 3 and written to 4.
        let run = "exec \"$0\" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
                   --remote-debugging-pipe --no-first-run --user-data-dir=\"$1\" about:blank \
                   3<&0 4>&1 </dev/null >/dev/null 2>/dev/null";
        let mut child = Command::new("sh")
            .args(["-c", run])
            .arg(browser)
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut page = Page {
            child,
            to,
            from,
            read: Vec::new(),
            last: 0,
            session: None,
            events: Vec::new(),
            _profile: profile,
        };
        let targets = page.call("Target.getTargets", json!({}));
        let targets = targets["targetInfos"].as_array().unwrap().iter();
        let target = targets.clone().find(|t| t["type"] == "page").unwrap()["targetId"].clone();
        let attached = page.call(
            "Target.attachToTarget",
            json!({"targetId": target, "flatten": true}),
        );
        page.session = Some(attached["sessionId"].as_str().unwrap().to_string());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        let scale =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        page.call("Emulation.setDeviceMetricsOverride", scale);
        let scheme =
            json!({"name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" }});
        page.call("Emulation.setEmulatedMedia", json!({"features": [scheme]}));
        let url = format!("file://{}", file.canonicalize().unwrap().display());
        page.call("Page.navigate", json!({"url": url}));
        page.wait("document.documentElement && document.documentElement.dataset.ready > 0");
        page
    }

    /// Sends a command and gives its result.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.as_mut().unwrap().write_all(&bytes).unwrap();
        loop {
            let answer = self.next();
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    fn next(&mut self) -> Value {
        loop {
            if let Some(end) = self.read.iter().position(|&b| b == 0) {
                let message: Vec<u8> = self.read.drain(..=end).collect();
                return serde_json::from_slice(&message[..end]).unwrap();
            }
            let mut block = vec![0; 1 << 16];
            let count = self.from.read(&mut block).unwrap();
            assert!(count > 0, "the browser went away");
            self.read.extend_from_slice(&block[..count]);
        }
    }

    /// The value of an expression; a promise's, too.
    pub fn js(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        let thrown = &result["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.js(expression) != json!(true) {
            assert!(
                begun.elapsed() < OPENS,
                "never true: {expression}; {:?}",
                self.errors()
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Presses a key.
    pub fn key(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            "Enter" => 13,
            other => other
                .to_ascii_uppercase()
                .bytes()
                .next()
                .map_or(0, u32::from),
        };
        let text = (key.len() == 1).then_some(key);
        let down = if text.is_some() {
            "keyDown"
        } else {
            "rawKeyDown"
        };
        for kind in [down, "keyUp"] {
            let mut params = json!({"type": kind, "key": key, "windowsVirtualKeyCode": code});
            if let (Some(text), true) = (text, kind == "keyDown") {
                params["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// A picture of what is seen.
    pub fn picture(&mut self) -> Vec<u8> {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let data = shot["data"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD
            .decode(data)
            .unwrap()
    }

    /// What the console has to say against the page.
    pub fn errors(&self) -> Vec<&Value> {
        let bad = |e: &&Value| match e["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => e["params"]["entry"]["level"] == "error",
            Some("Runtime.consoleAPICalled") => e["params"]["type"] == "error",
            _ => false,
        };
        self.events.iter().filter(bad).collect()
    }

    /// What was asked of a network, or of other files than pictures.
    pub fn requests(&self) -> Vec<&str> {
        let sent = self
            .events
            .iter()
            .filter(|e| e["method"] == "Network.requestWillBeSent");
        let urls = sent.filter_map(|e| e["params"]["request"]["url"].as_str());
        urls.filter(|u| !u.starts_with("data:") && !u.starts_with("file:"))
            .collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Its pipe closed, a browser ends itself; it is waited for so that its folder can go.
        self.to = None;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
