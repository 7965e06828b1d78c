//! `data images "dir"`: a folder with one folder of pictures for each class.

use super::*;
use crate::base::world::Entry;
use crate::data::place::{Found, Wanted, nearest, shown, too_large};
use crate::data::read::image::{self, Look, unreadable};

pub struct Images;

static DOC: Doc = Doc {
    word: "images",
    help: "a folder with one folder of PNG or JPEG files for each class, all pictures of one size",
    args: &[
        path("the folder that holds one folder for each class"),
        keyword("test", &[Kind::Text], "none", "a second such folder, used as the test part"),
    ],
    one_of: &[],
    example: "data images \"flowers/train\" { test \"flowers/test\"; batch 64 }",
    source: "as torchvision's ImageFolder",
};

/// Kinds of pictures that are read.
const READ: [&str; 3] = ["png", "jpg", "jpeg"];
/// Kinds that ImageFolder would read, or that are surely pictures: left out in silence they would be missed.
const NOT_READ: [&str; 12] = ["bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm", "pbm", "jfif", "avif", "heic", "jp2"];

/// Files of one data set.
const FILES_MAX: usize = 1_000_000;
/// Folders in folders within a class; Tiny ImageNet has one.
const DEPTH_MAX: usize = 8;
/// Folders that get a line each in the record; of more there is one line for all.
const LISTED_MAX: usize = 200;

impl Source for Images {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn value_bytes(&self) -> u64 {
        1
    }

    /// Lists the folders and reads the first bytes of every picture: one of another size is a mistake wherever it is.
    fn header(&self, args: &Args, place: &Place) -> Result<Header, Refusal> {
        Ok(survey(args, place)?.header)
    }

    fn read(&self, args: &Args, place: &Place) -> Result<Raw, Refusal> {
        let Survey { train, test, header, size } = survey(args, place)?;
        let mut digests = Digests::default();
        // Asked once: the system tells it by way of two files, which would take longer than most pictures.
        let limit = place.budget();
        let mut part = |part: &Tree| part.read(&header, size, place, limit, &mut digests);
        let examples = part(&train)?;
        let test = test.as_ref().map(part).transpose()?;
        let (digest, bytes, files) = digests.finish();
        Ok(Raw { header, examples, test, digest, bytes, files })
    }
}

/// What is there, before a pixel is decoded.
struct Survey {
    train: Tree,
    test: Option<Tree>,
    header: Header,
    size: Size,
}

/// Width and height.
type Size = (u32, u32);

/// A folder of classes.
struct Tree {
    argument: &'static str,
    /// Put before the names of its files in the digest.
    prefix: &'static str,
    folder: Found,
    classes: Vec<Class>,
}

struct Class {
    name: String,
    /// Its number among the classes of the training part.
    number: u32,
    folder: Found,
    /// Paths within the folder, sorted.
    pictures: Vec<String>,
}

fn survey(args: &Args, place: &Place) -> Result<Survey, Refusal> {
    let train = Tree::list(args.text("path").expect("check requires the path"), "path", "", place)?;
    let test = args.text("test").map(|text| Tree::list(text, "test", "test/", place)).transpose()?;
    if let [class] = train.classes.as_slice() {
        let message = format!("`{}` holds only one class, `{}`", shown(&train.folder.path), class.name);
        return Err(one_class(message).at("path"));
    }
    let test = test.map(|test| test.numbered_like(&train)).transpose()?;
    let mut looks = Looks::default();
    train.look(place, &mut looks)?;
    if let Some(test) = &test {
        test.look(place, &mut looks)?;
    }
    let (size, channels) = (looks.size(), if looks.all_grey { 1 } else { 3 });
    let (n, tested) = (train.len(), test.as_ref().map(Tree::len));
    let values = [(n + tested.unwrap_or(0)) as u64, channels as u64, u64::from(size.0), u64::from(size.1)];
    let values = values.iter().try_fold(1, |product: u64, &extent| product.checked_mul(extent));
    if values.is_none_or(|values| values > place.budget()) {
        return Err(too_large(&shown(&train.folder.path), place.budget()).at("path"));
    }
    let header = Header {
        test_examples: tested,
        // u32 fits usize on every machine that we run on.
        area: Some((size.1 as usize, size.0 as usize)),
        class_names: train.classes.iter().map(|class| class.name.clone()).collect(),
        ..vectors(n, channels, Task::Classification, train.classes.len())
    };
    Ok(Survey { train, test, header, size })
}

/// What the pictures that were looked at have in common.
#[derive(Default)]
struct Looks {
    /// The size of the first, and its name.
    first: Option<(Size, String)>,
    all_grey: bool,
}

impl Looks {
    fn size(&self) -> Size {
        self.first.as_ref().expect("every class has a picture").0
    }

    fn take(&mut self, name: &str, look: Look) -> Result<(), Refusal> {
        let size = (look.width, look.height);
        let Some((expected, first)) = &self.first else {
            (self.first, self.all_grey) = (Some((size, name.into())), look.grey);
            return Ok(());
        };
        self.all_grey &= look.grey;
        if *expected == size {
            return Ok(());
        }
        let ((w, h), (ew, eh)) = (size, *expected);
        let message = format!("`{name}` has {w}×{h} pixels, but `{first}` has {ew}×{eh}");
        let help = format!(
            "bring all pictures to one size before: in Python `Image.open(FILE).resize(({ew}, {eh})).save(FILE)` (Pillow)"
        );
        Err(Refusal::error("G0731", message, help))
    }
}

fn extension(name: &str) -> String {
    name.rsplit_once('.').map_or(String::new(), |(_, extension)| extension.to_lowercase())
}

impl Tree {
    /// The folders of a folder and their pictures, by name alone. A link to a class is followed where the user named the
    /// folder; behind it, and everywhere in a schedule's own folder, none is.
    fn list(text: &str, argument: &'static str, prefix: &'static str, place: &Place) -> Result<Tree, Refusal> {
        let folder = place.find(text, argument, Wanted::Folder)?;
        let (mut classes, mut files, mut beside) = (Vec::new(), 0, 0);
        for name in place.list(&folder, argument)? {
            if name.starts_with('.') {
                continue;
            }
            let found = folder.join(&name);
            if place.entry(&found, argument)? != Some(Entry::Folder) {
                beside += usize::from(READ.contains(&extension(&name).as_str()));
                continue;
            }
            let found = found.bound();
            let pictures = pictures(&found, argument, place, &mut files)?;
            let number = u32::try_from(classes.len()).unwrap_or(u32::MAX);
            classes.push(Class { name, number, folder: found, pictures });
            if classes.len() > CLASSES_MAX {
                let message = format!("`{}` holds more than {CLASSES_MAX} folders", shown(&folder.path));
                return Err(Refusal::error("G0732", message, "name the folder that holds one folder for each class")
                    .at(argument));
            }
        }
        if classes.is_empty() {
            let what = if beside > 0 { format!("{beside} pictures and no folder") } else { "no folder".into() };
            let message = format!("`{text}` holds {what}, so no class");
            let help = "put the pictures of each class into a folder of its own, which gives the class its name";
            return Err(Refusal::error("G0732", message, help).at(argument));
        }
        parts_as_classes(text, &classes, argument)?;
        if let Some(empty) = classes.iter().find(|class| class.pictures.is_empty()) {
            let message = format!("`{}` holds no PNG and no JPEG", shown(&empty.folder.path));
            return Err(Refusal::error("G0708", message, "put pictures into it, or remove it").at(argument));
        }
        Ok(Tree { argument, prefix, folder, classes })
    }

    fn len(&self) -> usize {
        self.classes.iter().map(|class| class.pictures.len()).sum()
    }

    /// The same with the numbers that the classes have in the training part.
    fn numbered_like(mut self, train: &Tree) -> Result<Tree, Refusal> {
        for class in &mut self.classes {
            let Ok(at) = train.classes.binary_search_by(|known| known.name.as_str().cmp(&class.name)) else {
                let message = format!(
                    "`{}` is no class of `{}`, which the test part is to be like",
                    shown(&class.folder.path),
                    shown(&train.folder.path)
                );
                let help = match nearest(&class.name, train.classes.iter().map(|class| class.name.as_str())) {
                    Some(near) => format!("call it as there: did you mean `{near}`?"),
                    None => "call its folders as the folders of the training part".into(),
                };
                return Err(Refusal::error("G0728", message, help).at(self.argument));
            };
            class.number = train.classes[at].number;
        }
        Ok(self)
    }

    fn look(&self, place: &Place, looks: &mut Looks) -> Result<(), Refusal> {
        for class in &self.classes {
            for picture in &class.pictures {
                let file = class.folder.join(picture);
                self.look_at(&file, place, looks).map_err(|refusal| blame(refusal, self.argument))?;
            }
        }
        Ok(())
    }

    fn look_at(&self, file: &Found, place: &Place, looks: &mut Looks) -> Result<(), Refusal> {
        let name = shown(&file.path);
        let look = look(file, &name, self.argument, place)?;
        if looks.first.is_none() {
            // The others are like it, or refused for that. So `check` knows a bomb without reading it.
            let Some(Entry::File { bytes }) = place.entry(file, self.argument)? else { return Err(no_file(&name)) };
            look.bounded(&name, bytes, place.budget())?;
        }
        looks.take(&name, look)
    }

    fn read(
        &self,
        header: &Header,
        size: Size,
        place: &Place,
        limit: u64,
        digests: &mut Digests,
    ) -> Result<Part, Refusal> {
        let channels = header.inputs;
        let width = channels * size.0 as usize * size.1 as usize;
        let mut values = Vec::with_capacity(self.len() * width);
        let mut labels = Vec::with_capacity(self.len());
        for class in &self.classes {
            for picture in &class.pictures {
                let file = class.folder.join(picture);
                let bytes = place.at_most(&file, limit, self.argument)?;
                pixels(&shown(&file.path), &bytes, size, channels, limit, &mut values)
                    .map_err(|refusal| blame(refusal, self.argument))?;
                labels.push(class.number);
                digests.add(&bytes, &format!("{}{}/{picture}", self.prefix, class.name));
            }
            digests.end_of_folder(&format!("{}{}/", self.prefix, class.name));
        }
        Ok(Part { features: Features::U8 { values, width }, labels: Labels::Classes(labels) })
    }
}

/// Appends the pixels of a picture that must still be what the header of the data says.
fn pixels(
    name: &str,
    bytes: &[u8],
    size: Size,
    channels: usize,
    limit: u64,
    values: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let look = image::look(name, bytes, true)?;
    let same = look.filter(|look| (look.width, look.height) == size && (look.grey || channels == 3));
    let look = same.ok_or_else(|| unreadable(name, "has changed since its header was read"))?;
    image::decode(name, bytes, look, channels, limit, values)
}

/// Folders that are called as parts of a data set are called are no classes.
fn parts_as_classes(text: &str, classes: &[Class], argument: &'static str) -> Result<(), Refusal> {
    let find = |words: &[&str]| classes.iter().find(|class| words.contains(&class.name.to_lowercase().as_str()));
    let (train, test) = (find(&["train", "training"]), find(&["test", "testing"]));
    let val = find(&["val", "valid", "validation"]);
    let known = [train, test, val].into_iter().flatten().count();
    let (Some(train), true) = (train, known == classes.len()) else { return Ok(()) };
    let path = |class: &Class| format!("{}/{}", text.trim_end_matches('/'), class.name);
    let names: Vec<String> = classes.iter().map(|class| format!("`{}`", class.name)).collect();
    let message = format!("`{text}` holds {}: parts of a data set, not classes", names.join(", "));
    let help = match test.or(val) {
        Some(test) => format!("write `images \"{}\" {{ test \"{}\" }}`", path(train), path(test)),
        None => format!("write `images \"{}\"`", path(train)),
    };
    Err(Refusal::error("G0732", message, help).at(argument).here("holds parts"))
}

fn no_file(name: &str) -> Refusal {
    Refusal::error("G0703", format!("`{name}` is no file that can be read"), "check the file and its folder")
}

/// What lies in a class's folder and the folders in it: paths within it, sorted. Hidden files and those that are no
/// pictures are left out.
fn pictures(folder: &Found, argument: &'static str, place: &Place, files: &mut usize) -> Result<Vec<String>, Refusal> {
    let mut pictures = Vec::new();
    let mut folders = vec![(String::new(), 0)];
    while let Some((way, depth)) = folders.pop() {
        let here = if way.is_empty() { folder.clone() } else { folder.join(&way) };
        for name in place.list(&here, argument)? {
            if name.starts_with('.') {
                continue;
            }
            let (path, kind) = (format!("{way}{name}"), extension(&name));
            let kind = kind.as_str();
            if READ.contains(&kind) {
                pictures.push(path);
                *files += 1;
                if *files > FILES_MAX {
                    let message = format!("`{}` is one of more than {FILES_MAX} files", shown(&folder.path));
                    let help = "save so many pictures as one array: `data npz`, by NumPy's savez";
                    return Err(Refusal::error("G0705", message, help).at(argument));
                }
            } else if NOT_READ.contains(&kind) {
                let name = shown(&folder.join(&path).path);
                return Err(unreadable(&name, "is a picture of a kind that is not read").at(argument));
            } else if place.entry(&folder.join(&path), argument)? == Some(Entry::Folder) {
                if depth == DEPTH_MAX {
                    let message = format!("`{}` lies too deep", shown(&folder.join(&path).path));
                    let help = "put the pictures of each class into one folder";
                    return Err(Refusal::error("G0732", message, help).at(argument));
                }
                folders.push((format!("{path}/"), depth + 1));
            }
        }
    }
    pictures.sort();
    Ok(pictures)
}

/// What a picture's header says, read from as little of the file as holds it.
fn look(file: &Found, name: &str, argument: &'static str, place: &Place) -> Result<Look, Refusal> {
    // A camera writes up to some hundred kilobytes before the header.
    for bytes in [image::START, image::START << 8] {
        let start = place.start(file, bytes, argument)?;
        let is_all = (start.len() as u64) < bytes;
        if let Some(look) = image::look(name, &start, is_all).map_err(|refusal| blame(refusal, argument))? {
            return Ok(look);
        }
    }
    let all = place.bytes(file, argument)?;
    let look = image::look(name, &all, true).map_err(|refusal| blame(refusal, argument))?;
    look.ok_or_else(|| no_file(name).at(argument))
}

/// The digest of a folder is that of what `sha256sum` prints of its files in order.
#[derive(Default)]
struct Digests {
    all: Sha256,
    bytes: u64,
    folder: Sha256,
    folder_bytes: u64,
    inside: Vec<String>,
    folders: Vec<FileRead>,
    /// One file that the folder can be told by.
    first: Option<FileRead>,
}

impl Digests {
    fn add(&mut self, content: &[u8], name: &str) {
        let (sha256, bytes) = (hex(Sha256::digest(content).as_slice()), content.len() as u64);
        let line = format!("{sha256}  {name}\n");
        self.all.update(&line);
        self.folder.update(&line);
        self.bytes += bytes;
        self.folder_bytes += bytes;
        self.first.get_or_insert_with(|| FileRead {
            name: name.into(),
            sha256: sha256.clone(),
            bytes,
            inside: Vec::new(),
        });
        self.inside.push(sha256);
    }

    fn end_of_folder(&mut self, name: &str) {
        let sha256 = hex(std::mem::take(&mut self.folder).finalize().as_slice());
        let (bytes, inside) = (std::mem::take(&mut self.folder_bytes), std::mem::take(&mut self.inside));
        self.folders.push(FileRead { name: name.into(), sha256, bytes, inside });
    }

    /// Digest, bytes and what the record lists.
    fn finish(self) -> (String, u64, Vec<FileRead>) {
        let Digests { all, bytes, mut folders, first, .. } = self;
        let all = hex(all.finalize().as_slice());
        if folders.len() > LISTED_MAX {
            let inside = folders.into_iter().flat_map(|folder| folder.inside).collect();
            folders = vec![FileRead { name: "./".into(), sha256: all.clone(), bytes, inside }];
        }
        folders.extend(first);
        (format!("sha256:{all}"), bytes, folders)
    }
}
