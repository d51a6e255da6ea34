/** For a whole program: `BREAKS=rejection node --import …/breaks.js …`. Told by SIGUSR2 it has an error that nobody catches. */
process.on('SIGUSR2', () => {
  const bug = new Error('one bug');
  if (process.env['BREAKS'] === 'rejection') void Promise.reject(bug);
  else throw bug;
});
