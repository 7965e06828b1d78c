//! `data mnist`, `data fashion_mnist`, `data cifar10`: published files by their usual name.

use super::*;

/// A published data set that the user has on the disk.
pub struct Published {
    doc: &'static Doc,
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
};

pub static CIFAR10: Published = Published {
    doc: &Doc {
        word: "cifar10",
        help: "60,000 colour pictures of ten kinds, 32×32 (not available yet)",
        args: &[],
        one_of: &[],
        example: "data cifar10 { batch 128 }",
        source: "Krizhevsky 2009, Learning multiple layers of features from tiny images",
    },
};

impl Source for Published {
    fn doc(&self) -> &'static Doc {
        self.doc
    }

    fn header(&self, _args: &Args, _place: &Place) -> Result<Header, Refusal> {
        Err(images::not_yet(self.doc))
    }

    fn read(&self, _args: &Args, _place: &Place) -> Result<Raw, Refusal> {
        Err(images::not_yet(self.doc))
    }
}
