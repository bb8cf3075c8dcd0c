/* Links the static library into a program that has no Rust std in it, and runs it. */
int ttcore_no_std_proof(void);

/* The toolchain's prebuilt `alloc` names it for unwinding; with panic = "abort" nothing calls it. */
void rust_eh_personality(void) {}

int main(void) {
    return ttcore_no_std_proof();
}
