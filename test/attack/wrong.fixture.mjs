/** What `npm run attack` is to call a violation: an ordinary question of which it is said that it is refused. */
export const rows = [
  {
    id: 'X0',
    what: 'an ordinary question, to be refused',
    to: 'social',
    send: { body: '{"query":"{userByHandle(handle:\\"alice\\"){id}}"}' },
    come: { status: 400, code: 'BAD_REQUEST' },
  },
];
