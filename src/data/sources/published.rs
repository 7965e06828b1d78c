//! `data mnist`, `data fashion_mnist`, `data cifar10`: published files by their usual name.

use super::*;
use crate::data::place::{Found, Wanted};
use std::path::Path;

/// A published data set that the user has on the disk: `--data WORD=DIR` or `$GROWRUN_DATA/WORD`.
pub struct Published {
    doc: &'static Doc,
    /// The files, their checksums where they are known, and where they are published.
    files: &'static str,
    header: fn(&Found, &'static str, &Place) -> Result<Header, Refusal>,
    read: fn(&Found, &'static str, &Place) -> Result<Raw, Refusal>,
}

pub static MNIST: Published = Published {
    doc: &Doc {
        word: "mnist",
        help: "70,000 handwritten digits, 28×28, from the published IDX files",
        args: &[],
        one_of: &[],
        example: "data mnist { batch 128 }",
        source: "LeCun, Cortes and Burges 1998, the MNIST database",
    },
    files: "train-images-idx3-ubyte (md5 6bbc9ace898e44ae57da46a324031adb), \
            train-labels-idx1-ubyte (a25bea736e30d166cdddb491f175f624), \
            t10k-images-idx3-ubyte (2646ac647ad5339dbf082846283269ea) and \
            t10k-labels-idx1-ubyte (27ae3e4e09519cfbb04c329615203637), plain or .gz (checksums are of the plain \
            files), published at http://yann.lecun.com/exdb/mnist/",
    header: idx::header,
    read: idx::read,
};

pub static FASHION_MNIST: Published = Published {
    doc: &Doc {
        word: "fashion_mnist",
        help: "70,000 pictures of clothes, 28×28, from the published IDX files",
        args: &[],
        one_of: &[],
        example: "data fashion_mnist { batch 128 }",
        source: "Xiao, Rasul and Vollgraf 2017, Fashion-MNIST",
    },
    files: "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, \
            plain or .gz, published with their checksums at https://github.com/zalandoresearch/fashion-mnist",
    header: idx::header,
    read: idx::read,
};

pub static CIFAR10: Published = Published {
    doc: &Doc {
        word: "cifar10",
        help: "60,000 colour pictures of ten kinds, 32×32, from the published binary files",
        args: &[],
        one_of: &[],
        example: "data cifar10 { batch 128 }",
        source: "Krizhevsky 2009, Learning multiple layers of features from tiny images",
    },
    files: "data_batch_1.bin to data_batch_5.bin and test_batch.bin, directly there or in the folder \
            cifar-10-batches-bin, out of cifar-10-binary.tar.gz (md5 c32a1d4ab5d03f1284b67883e8d87530; the binary \
            version, not the Python one), published at https://www.cs.toronto.edu/~kriz/cifar.html",
    header: cifar::header,
    read: cifar::read,
};

impl Published {
    fn folder(&self, place: &Place) -> Result<Found, Refusal> {
        let word = self.doc.word;
        if place.named.contains_key(word) {
            return place.find(word, "path", Wanted::Folder).map_err(|refusal| match refusal.code {
                "G0701" => self.missing(),
                _ => refusal,
            });
        }
        let Some(root) = place.world.variable("GROWRUN_DATA") else { return Err(self.missing()) };
        let found = Found::named_by_user(Path::new(&root).join(word));
        match place.world.entry(&found.path) {
            Ok(Some(crate::base::world::Entry::Folder)) => Ok(found),
            _ => Err(self.missing()),
        }
    }

    fn missing(&self) -> Refusal {
        let word = self.doc.word;
        let message = format!("the files of `{word}` are not on this machine, or not where they are looked for");
        let help = format!(
            "put them into a folder and run with `--data {word}=FOLDER`, or into `$GROWRUN_DATA/{word}`: {}",
            self.files
        );
        Refusal::error("G0729", message, help).here("looked up by `--data` and `$GROWRUN_DATA`")
    }

    /// A folder without the right files is a missing data set too.
    fn within(&self, refusal: Refusal) -> Refusal {
        let refusal = if refusal.code == "G0701" { self.missing() } else { refusal };
        // The source has no path to point at.
        Refusal { argument: None, ..refusal }
    }
}

impl Source for Published {
    fn doc(&self) -> &'static Doc {
        self.doc
    }

    fn value_bytes(&self) -> u64 {
        1
    }

    fn header(&self, _args: &Args, place: &Place) -> Result<Header, Refusal> {
        let found = self.folder(place).map_err(|refusal| self.within(refusal))?;
        (self.header)(&found, "path", place).map_err(|refusal| self.within(refusal))
    }

    fn read(&self, _args: &Args, place: &Place) -> Result<Raw, Refusal> {
        let found = self.folder(place).map_err(|refusal| self.within(refusal))?;
        (self.read)(&found, "path", place).map_err(|refusal| self.within(refusal))
    }
}
