//! A run directory from somebody else, read by `growrun predict`.

use super::*;

/// A finished run in `runs/a/0001`, with the table that it was trained on.
fn trained() -> Stranger {
    let rows: String = (0..60).map(|row| format!("{row},{},{}\n", row * 7 % 11, row % 2)).collect();
    let stranger = Stranger::new().with("p.csv", format!("a,b,c\n{rows}"));
    let stranger = stranger.reading("csv \"p.csv\" { target c }");
    let ran = stranger.call(&["a.grow", "--quiet"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    stranger
}

impl Stranger {
    fn is_refused_to_predict(&self, told: &str) {
        let refused = self.call(&["predict", "runs/a/0001", "p.csv"]);
        assert!(matches!(refused.code, Some(2 | 4)), "{:?} {}", refused.code, refused.stderr);
        assert!(refused.stderr.contains("G0803") && refused.stderr.contains(told), "{told}: {}", refused.stderr);
    }

    fn tampered(&self, name: &str, content: impl AsRef<[u8]>) -> &Stranger {
        std::fs::write(self.path("runs/a/0001").join(name), content).expect("written");
        self
    }
}

#[test]
fn yaml_that_grows_when_it_is_read() {
    let stranger = trained();
    assert_eq!(stranger.call(&["predict", "runs/a/0001", "p.csv"]).code, Some(0), "the run is good as it is");
    let record = std::fs::read_to_string(stranger.path("runs/a/0001/run.yaml")).expect("a record");

    let mut laughs = String::from("a0: &a0 [x, x]\n");
    for level in 1..30 {
        let alias = format!("*a{}", level - 1);
        laughs.push_str(&format!("a{level}: &a{level}\n"));
        laughs.push_str(&format!("- {alias}\n").repeat(9));
    }
    stranger.tampered("run.yaml", laughs).is_refused_to_predict("which no record has");

    // Half a megabyte of text, five thousand times, in a record that is right otherwise.
    let (before, rest) = record.split_once("command:\n").expect("every record has a command");
    let (_, after) = rest.split_once("schedule:\n").expect("the schedule follows");
    let before = before.replace("name: a\n", &format!("name: &n {}\n", "x".repeat(500_000)));
    let copies = "- *n\n".repeat(5_000);
    stranger.tampered("run.yaml", format!("{before}command:\n{copies}schedule:\n{after}"));
    stranger.is_refused_to_predict("an anchor at line");

    for piece in ["[", "{", "{a: ", "[[],", "- ", "? ", "- - \n", "a: ", "a: \n", "\"", "'", "&a ", "*a ", "!a ", "|\n"]
    {
        println!("{piece:?}");
        let many = piece.repeat(((1 << 20) - 10) / piece.len());
        stranger.tampered("run.yaml", &many).is_refused_to_predict("");
        stranger.tampered("run.yaml", format!("{record}more: {}", &many[..many.len() - record.len() - 20]));
        stranger.is_refused_to_predict("");
    }
    let refused = stranger.tampered("run.yaml", " ".repeat((1 << 20) + 1)).call(&["predict", "runs/a/0001", "p.csv"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("G0802"), "{}", refused.stderr);
}

#[test]
fn safetensors_that_declare_more_than_they_hold() {
    let stranger = trained();
    let file = |header: &str| [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    let tensor = |name: &str, shape: &str, from: u64, to: u64| {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[{shape}],\"data_offsets\":[{from},{to}]}}")
    };
    let mut long = (4u64 << 30).to_le_bytes().to_vec();
    long.resize(100, b'{');
    let many: Vec<String> = (0..100_000).map(|n| tensor(&format!("{n:06}"), "0", 0, 0)).collect();
    let cases = [
        (long, "only 92 follow"),
        (file(&format!("{{{}}}", tensor("h1.weight", "32768,32768", 0, 4 << 30))), "safetensors"),
        (file(&format!("{{{}}}", tensor("a", "4294967296,4294967296,4294967296", 0, 0))), "safetensors"),
        (file(&format!("{{{},{}}}", tensor("a", "0", 0, 0), tensor("a", "0", 0, 0))), "stands there twice"),
        (file(&format!("{{{},{}}}", tensor("a", "1", 0, 4), tensor("b", "1", 0, 4))), "safetensors"),
        (file(&format!("{{{}}}", many.join(","))), ""),
        (file(&format!("{{{}}}", tensor("a", &"0,".repeat(4_000_000), 0, 0))), ""),
        (file(&format!("{{\"__metadata__\":{{{}\"b\":\"\"}}}}", "\"a\":\"\",".repeat(1_000_000))), ""),
        (file(&"{\"a\":".repeat(1_000_000)), "header"),
        (file(&" ".repeat(90_000_000)), ""),
    ];
    for (content, told) in cases {
        let refused = stranger.tampered("final.safetensors", content).call(&["predict", "runs/a/0001", "p.csv"]);
        assert!(refused.code == Some(2) && refused.stderr.contains(told), "{told}: {}", refused.stderr);
    }
}

/// A file of four gigabytes that takes nothing on the disk.
#[cfg(unix)]
#[test]
fn weights_with_a_hole() {
    let stranger = trained();
    let path = stranger.path("runs/a/0001/final.safetensors");
    let file = std::fs::File::options().write(true).open(path).expect("the weights");
    file.set_len(4 << 30).expect("a hole");
    let refused = stranger.call(&["predict", "runs/a/0001", "p.csv"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("G0802"), "{}", refused.stderr);
}
