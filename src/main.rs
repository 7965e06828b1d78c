fn main() {
    std::process::exit(growrun::cli::main(std::env::args_os()));
}
