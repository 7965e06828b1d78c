//! A world over another one.

/// What a world that lies over another one leaves as it is: the methods of [`World`] that it does not name itself.
macro_rules! hands_down {
    () => {
        fn list(&self, path: &Path) -> Result<Vec<String>> {
            self.below.list(path)
        }

        fn list_beneath(&self, folder: &Path, path: &Path) -> Result<Vec<String>> {
            self.below.list_beneath(folder, path)
        }

        fn create(&self, path: &Path) -> Result<Box<dyn Appender>> {
            self.below.create(path)
        }

        fn appender(&self, path: &Path) -> Result<Box<dyn Appender>> {
            self.below.appender(path)
        }

        fn make_folder(&self, path: &Path) -> Result<bool> {
            self.below.make_folder(path)
        }

        fn rename(&self, from: &Path, to: &Path) -> Result<()> {
            self.below.rename(from, to)
        }

        fn exchange(&self, one: &Path, other: &Path) -> Result<bool> {
            self.below.exchange(one, other)
        }

        fn remove_file(&self, path: &Path) -> Result<()> {
            self.below.remove_file(path)
        }

        fn remove_empty_folder(&self, path: &Path) -> Result<()> {
            self.below.remove_empty_folder(path)
        }

        fn sync_folder(&self, path: &Path) -> Result<()> {
            self.below.sync_folder(path)
        }

        fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
            self.below.lock(path)
        }

        fn disk_free(&self, path: &Path) -> Option<u64> {
            self.below.disk_free(path)
        }

        fn variable(&self, name: &str) -> Option<String> {
            self.below.variable(name)
        }

        fn seconds(&self) -> f64 {
            self.below.seconds()
        }

        fn epoch_seconds(&self) -> u64 {
            self.below.epoch_seconds()
        }

        fn host(&self) -> Host {
            self.below.host()
        }

        fn confine(&self, reads: &[PathBuf], writes: &[PathBuf]) -> Confinement {
            self.below.confine(reads, writes)
        }
    };
}

pub(super) use hands_down;
