/**
 * What a script begins with that reads what is kept. It writes nothing (an empty SETRANGE), but Redis refuses it wherever it would refuse
 * a drop: on a read-only replica, or after a failed save. What cannot be dropped may not be read. When Redis is only `full`, drops still
 * work.
 */
export const WRITABLE = `
local writable = redis.pcall('SETRANGE', KEYS[1], 0, '')
local full = false
if type(writable) == 'table' and writable.err then
  full = string.find(writable.err, 'OOM', 1, true) ~= nil
  if not full and not string.find(writable.err, 'WRONGTYPE', 1, true) then return redis.error_reply(writable.err) end
end
`;
