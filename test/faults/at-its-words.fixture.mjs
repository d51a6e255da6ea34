// Loaded before a program by --import: with AT_WORDS and BY_SIGNAL it sends itself that signal when it has printed these words on
// standard error, and does nothing more before the signal has hit it.
const { AT_WORDS: words, BY_SIGNAL: signal } = process.env;
if (words !== undefined) {
  const write = process.stderr.write.bind(process.stderr);
  process.stderr.write = (text, ...rest) => {
    const isWritten = write(text, ...rest);
    if (String(text).includes(words)) process.kill(process.pid, signal);
    return isWritten;
  };
}
