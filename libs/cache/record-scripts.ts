import { WRITABLE } from './writable.js';

/**
 * A bucket's state is three keys: `clock` (`life floor clock`), and two sorted sets that tell at which tick of the clock each
 * entity and each epoch was dropped last. Both hold the clock too, so that a Redis which evicted or lost one of the three is found
 * out. A life begins when they do not agree and when the server's replication id is another, which is after every failover and
 * restart: then drops may have been lost that were acknowledged, so all that was kept before counts for nothing.
 */
const STATE = `
local function current()
  local replication = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or '-'
  local kept = redis.pcall('GET', KEYS[1])
  if type(kept) == 'string' then
    local life, floor, clock = string.match(kept, '^(%S+) (%d+) (%d+)$')
    if life and string.sub(life, 1, #replication) == replication
      and redis.pcall('ZSCORE', KEYS[2], '!') == clock and redis.pcall('ZSCORE', KEYS[3], '!') == clock then
      return life, tonumber(floor), tonumber(clock)
    end
  end
  return nil, replication
end
local function state(fresh)
  local life, floor, clock = current()
  if life then return life, floor, clock end
  life = floor .. '.' .. fresh
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
  redis.call('ZADD', KEYS[2], 1, '!')
  redis.call('ZADD', KEYS[3], 1, '!')
  redis.call('SET', KEYS[1], life .. ' 0 1')
  return life, 0, 1
end
local function droppedAt(set, name, floor)
  return tonumber(redis.call('ZSCORE', set, name) or floor)
end
local function decoded(text)
  return (string.gsub(text, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end))
end
local function taggedAt(tags, floor)
  local latest = 0
  for tag in string.gmatch(tags, '[^,]+') do latest = math.max(latest, droppedAt(KEYS[3], decoded(tag), floor)) end
  return latest
end
`;

/**
 * KEYS: state, records. ARGV: a fresh name for a life, the caller's token, lease ms; how many kinds of asks there are, and of each its
 * epochs and fields; then for each record: entity (or '' for one that its drop deletes), wants a lease, its kind.
 */
export const LOOK = `${STATE}${WRITABLE}
local life, floor, clock = state(ARGV[1])
local token, leaseMs = ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local answer = { life .. ' ' .. floor .. ' ' .. clock, now }
local epochsAt = {}
local kinds = {}
local at = 5
for nth = 1, tonumber(ARGV[4]) do
  local since = 0
  local epochs = tonumber(ARGV[at])
  for n = 1, epochs do
    local epoch = ARGV[at + n]
    if not epochsAt[epoch] then epochsAt[epoch] = droppedAt(KEYS[3], epoch, floor) end
    since = math.max(since, epochsAt[epoch])
  end
  at = at + epochs + 1
  local count = tonumber(ARGV[at])
  local names = { '!life', '!lease' }
  for n = 1, count do names[n + 2] = ARGV[at + n] end
  at = at + count + 1
  kinds[nth] = { since, count, names }
end
for nth = 4, #KEYS do
  local key, entity, wantsLease = KEYS[nth], ARGV[at], ARGV[at + 1] == '1'
  local since, count, names = unpack(kinds[tonumber(ARGV[at + 2])])
  at = at + 3
  if entity ~= '' then since = math.max(since, droppedAt(KEYS[2], entity, floor)) end
  local kept = redis.pcall('HMGET', key, unpack(names))
  if kept.err then redis.call('DEL', key) kept = {} end
  local ours = kept[1] == life
  local found, whole = { 0 }, true
  for n = 1, count do
    local text = ours and kept[n + 2]
    local shown = false
    local optional = string.sub(names[n + 2], 1, 1) == '!'
    if text then
      local loaded, fresh, untilMs, tags = string.match(text, '^(%d+);(%d+);(%d+);([^;]*);')
      shown = loaded and tonumber(loaded) >= since and tonumber(untilMs) > now
        and (tags == '' or taggedAt(tags, floor) <= tonumber(loaded))
      if not optional and (not shown or tonumber(fresh) <= now) then whole = false end
    elseif not optional then
      whole = false
    end
    found[n + 1] = shown and text or false
  end
  if wantsLease and not whole and not full then
    local holder, till = string.match(ours and kept[2] or '', '^(%S+) (%d+)$')
    if holder and holder ~= token and tonumber(till) > now then
      found[1] = 2
    else
      if not ours then redis.call('DEL', key) end
      local leased = redis.pcall('HSET', key, '!life', life, '!lease', token .. ' ' .. (now + leaseMs))
      if type(leased) == 'number' then
        found[1] = 1
        if redis.call('PTTL', key) < leaseMs then redis.call('PEXPIRE', key, leaseMs) end
      end
    end
  end
  answer[#answer + 1] = found
end
return answer`;

/** KEYS: state, records. ARGV: the state at the beginning of the load; then for each record: entity, longest life in ms, epochs, fields. */
export const FILL = `${STATE}
local begunLife, begunAt = string.match(ARGV[1], '^(%S+) %d+ (%d+)$')
begunAt = tonumber(begunAt)
local life, floor = current()
if life ~= begunLife then return 0 end
local at = 2
for nth = 4, #KEYS do
  local key, entity, lifetime, epochs = KEYS[nth], ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 3
  local since = droppedAt(KEYS[2], entity, floor)
  for _ = 1, epochs do
    since = math.max(since, droppedAt(KEYS[3], ARGV[at], floor))
    at = at + 1
  end
  local count = tonumber(ARGV[at])
  at = at + 1
  local pairsOf = {}
  local kept = redis.pcall('HGET', key, '!life')
  if type(kept) == 'table' then redis.call('DEL', key) kept = false end
  if since <= begunAt then
    for n = 0, count - 1 do
      local name, text = ARGV[at + 2 * n], ARGV[at + 2 * n + 1]
      local tags = string.match(text, '^%d+;%d+;%d+;([^;]*);')
      local before = kept == life and redis.call('HGET', key, name)
      local newer = before and tonumber(string.match(before, '^(%d+);') or 0) > begunAt
      if not newer and (tags == '' or taggedAt(tags, floor) <= begunAt) then
        pairsOf[#pairsOf + 1] = name
        pairsOf[#pairsOf + 1] = text
      end
    end
  end
  at = at + 2 * count
  if kept and kept ~= life then redis.call('DEL', key) end
  if #pairsOf > 0 then
    -- Arguments come from clients: a record may not grow by asking for ever more pages.
    if redis.call('HLEN', key) > 200 then redis.call('DEL', key) end
    local done = redis.pcall('HSET', key, '!life', life, unpack(pairsOf))
    if type(done) == 'number' then
      if redis.call('PTTL', key) < lifetime then redis.call('PEXPIRE', key, math.ceil(lifetime)) end
    else
      redis.call('DEL', key)
    end
  end
  redis.call('HDEL', key, '!lease')
end
return 1`;

/**
 * KEYS: state, the records of everybody. ARGV: a fresh name for a life, drops kept, epochs; entities. Where nothing can be written
 * because Redis is full, deleting the clock ends everything.
 */
export const DROP = `${STATE}
if redis.pcall('EXISTS', KEYS[1]) == 0 then return 0 end
if #KEYS > 3 then redis.call('DEL', unpack(KEYS, 4)) end
local before = redis.pcall('GET', KEYS[1])
local life, floor, clock = string.match(type(before) == 'string' and before or '', '^(%S+) (%d+) (%d+)$')
if not life then redis.call('DEL', KEYS[1]) return 1 end
clock = tonumber(clock) + 1
local epochs = tonumber(ARGV[3])
local done = redis.pcall('ZADD', KEYS[3], clock, '!')
if type(done) == 'table' and done.err then redis.call('DEL', KEYS[1]) return 1 end
redis.call('ZADD', KEYS[2], clock, '!')
for n = 1, epochs do redis.call('ZADD', KEYS[3], clock, ARGV[3 + n]) end
for n = 4 + epochs, #ARGV do redis.call('ZADD', KEYS[2], clock, ARGV[n]) end
floor = tonumber(floor)
for set = 2, 3 do
  local over = redis.call('ZCARD', KEYS[set]) - tonumber(ARGV[2])
  if over > 0 then
    floor = math.max(floor, tonumber(redis.call('ZRANGE', KEYS[set], over - 1, over - 1, 'WITHSCORES')[2]))
    redis.call('ZREMRANGEBYRANK', KEYS[set], 0, over - 1)
  end
end
redis.call('SET', KEYS[1], life .. ' ' .. floor .. ' ' .. clock)
return 1`;

/**
 * KEYS: state. ARGV: a fresh name for a life; then for each that is remembered: the state at which it was right, and the names that
 * would end it, as JSON: `[entities, epochs]`. While nothing at all was dropped they are not even read.
 */
export const UNCHANGED = `${STATE}${WRITABLE}
local life, floor, clock = state(ARGV[1])
local time = redis.call('TIME')
local answer = { life .. ' ' .. floor .. ' ' .. clock, tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) }
local function same(kept, text)
  local keptLife, at = string.match(kept, '^(%S+) %d+ (%d+)$')
  if keptLife ~= life then return 0 end
  at = tonumber(at)
  if at == clock then return 1 end
  if at < floor then return 0 end
  local read, names = pcall(cjson.decode, text)
  if not read then return 0 end
  for set = 1, 2 do
    for _, name in ipairs(names[set]) do
      if droppedAt(KEYS[set + 1], name, floor) > at then return 0 end
    end
  end
  return 1
end
for nth = 2, #ARGV, 2 do answer[#answer + 1] = same(ARGV[nth], ARGV[nth + 1]) end
return answer`;

/**
 * KEYS: the newer of what was told, the older. ARGV: how many one of them holds, how long it is known, ms; then names and versions. When
 * the newer one is as old as that, or full, it becomes the older one, and what that had is forgotten: whoever asks for it is shown nothing kept,
 * which is slow and never wrong. So is what a full Redis does not take, or another hand has put there.
 */
export const TELL = `
local most, lifetimeMs = tonumber(ARGV[1]), tonumber(ARGV[2])
local function versionIn(key, name)
  local kept = redis.pcall('HGET', key, name)
  return type(kept) == 'string' and tonumber(kept) or 0
end
for nth = 1, 2 do
  local kind = redis.call('TYPE', KEYS[nth]).ok
  if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[nth]) end
end
local count = (#ARGV - 2) / 2
local had = redis.call('HLEN', KEYS[1])
if had > 0 and (had + count > most or redis.call('PTTL', KEYS[1]) < lifetimeMs) then
  redis.call('UNLINK', KEYS[2])
  redis.call('RENAME', KEYS[1], KEYS[2])
  had = 0
end
for nth = 3, #ARGV, 2 do
  local name = ARGV[nth]
  local version = math.max(tonumber(ARGV[nth + 1]), versionIn(KEYS[1], name), versionIn(KEYS[2], name))
  if type(redis.pcall('HSET', KEYS[1], name, version)) == 'table' then return 0 end
  -- At once: what follows may fail, and nothing stays for ever.
  if had == 0 then redis.call('PEXPIRE', KEYS[1], 2 * lifetimeMs) had = 1 end
end
return 1`;

/** KEYS: the newer of what was told, the older. ARGV: names. Of each the version, 0 where there is none. */
export const TOLD = `
local versions = {}
for nth = 1, #ARGV do versions[nth] = 0 end
for _, key in ipairs(KEYS) do
  local kept = redis.pcall('HMGET', key, unpack(ARGV))
  if not kept.err then
    for nth = 1, #ARGV do versions[nth] = math.max(versions[nth], tonumber(kept[nth] or 0) or 0) end
  end
end
return versions`;
