-- The ledger of one group in Redis: who holds a place, who waits, what is used of budgets.
-- One script, so that every decision is one step for all processes. Its rules are those of
-- domain/ledger.py; where that leases blocks to brokers, calls here set their own part aside.
--
-- KEYS all have the group's hash tag, so a cluster keeps them on one node. Time is Redis' own.
-- ARGV: operation, quota as JSON, the process that asks, seconds that keys live, ms after which a
-- process that has set something aside and says nothing is silent, after which old holders are
-- looked after, and after which a run is told again; then what the operation takes.
-- Returns {answer, told, old}: told are runs that were given a place, each with its turn.

local meta, holders, since, held, queue, back = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local asks, waiting_of, untold = KEYS[7], KEYS[8], KEYS[9]
local budgets, parts, alive = KEYS[10], KEYS[11], KEYS[12]
local operation, quota, process = ARGV[1], cjson.decode(ARGV[2]), ARGV[3]
local silence_ms, sweep_ms, tell_again_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local LEAD_MS, RECOVER_MS = 10000, 30000

local function whole(number) -- tostring() gives up after 14 digits
  return string.format('%.0f', number)
end

local function number_of(key, field)
  return tonumber(redis.call('HGET', key, field) or '0')
end

local function add_or_drop(key, field, amount)
  if redis.call('HINCRBY', key, field, amount) <= 0 then redis.call('HDEL', key, field) end
end

-- ---- windows

local function open_window(kind, length)
  local number = whole(math.floor(now / length))
  if redis.call('HGET', budgets, kind .. ':window') ~= number then
    redis.call('HSET', budgets, kind .. ':window', number, kind .. ':used', 0, kind .. ':aside', 0)
    for _, field in ipairs(redis.call('HKEYS', parts)) do
      if string.sub(field, 1, #kind + 1) == kind .. '|' then redis.call('HDEL', parts, field) end
    end
  end
end

local function starts_used()
  open_window('runs', quota.starts_ms)
  return number_of(budgets, 'runs:used') + number_of(budgets, 'runs:aside')
end

local function starts_are_used_up()
  return quota.starts ~= nil and starts_used() >= quota.starts
end

-- ---- places

local function is_full()
  return quota.places ~= nil and redis.call('HLEN', holders) >= quota.places
end

local function place(run, turn, key, counts)
  redis.call('HSET', holders, run, turn .. ':' .. key)
  redis.call('ZADD', since, whole(now), run)
  redis.call('HINCRBY', held, key, 1)
  local taken = redis.call('HLEN', holders)
  if taken > number_of(meta, 'most') then redis.call('HSET', meta, 'most', taken) end
  if counts and turn == 0 and quota.starts ~= nil then
    open_window('runs', quota.starts_ms)
    redis.call('HINCRBY', budgets, 'runs:used', 1)
  end
end

local function turn_and_key(value)
  local turn, key = string.match(value, '^(%d+):(.*)$')
  return tonumber(turn), key
end

local function queue_up(run, turn, key)
  local number = redis.call('HINCRBY', meta, 'asked', 1)
  redis.call('ZADD', queue, number, run)
  if turn > 0 then redis.call('ZADD', back, number, run) end
  redis.call('HSET', asks, run, turn .. ':' .. key)
  redis.call('HINCRBY', waiting_of, key, 1)
end

local function leave_queue(run)
  local asked = redis.call('HGET', asks, run)
  if not asked then return end
  local _, key = turn_and_key(asked)
  redis.call('ZREM', queue, run)
  redis.call('ZREM', back, run)
  redis.call('HDEL', asks, run)
  add_or_drop(waiting_of, key, -1)
end

local function release(run, turn)
  local holder = redis.call('HGET', holders, run)
  if holder then
    local of, key = turn_and_key(holder)
    if turn == nil or turn >= of then -- what it said before it asked again comes too late
      redis.call('HDEL', holders, run)
      redis.call('ZREM', since, run)
      redis.call('HDEL', untold, run)
      add_or_drop(held, key, -1)
    end
  end
  if turn == nil then leave_queue(run) end
end

-- The first of those that wait, of the fair key that holds fewest.
local function next_of(line)
  local keys = redis.call('HKEYS', waiting_of)
  if #keys < 2 then return redis.call('ZRANGE', line, 0, 0)[1] end
  local holds, fewest, best, best_holds = {}, nil, nil, nil
  local pairs_of = redis.call('HGETALL', held)
  for i = 1, #pairs_of, 2 do holds[pairs_of[i]] = tonumber(pairs_of[i + 1]) end
  for _, key in ipairs(keys) do
    local count = holds[key] or 0
    if fewest == nil or count < fewest then fewest = count end
  end
  local from = 0
  while true do
    local runs = redis.call('ZRANGE', line, from, from + 99)
    for _, run in ipairs(runs) do
      local _, key = turn_and_key(redis.call('HGET', asks, run))
      local count = holds[key] or 0
      if best == nil or count < best_holds then best, best_holds = run, count end
      if best_holds == fewest then return best end
    end
    if #runs < 100 then return best end
    from = from + 100
  end
end

local function give_out(told)
  while redis.call('ZCARD', queue) > 0 and not is_full() do
    local line = queue
    if starts_are_used_up() then line = back end -- who goes on after a wait needs no start
    local run = next_of(line)
    if not run then return end
    local turn, key = turn_and_key(redis.call('HGET', asks, run))
    leave_queue(run)
    place(run, turn, key, true)
    redis.call('HSET', untold, run, turn .. ':' .. whole(now))
    table.insert(told, run)
    table.insert(told, turn)
  end
end

local function admit(run, turn, key)
  local holder = redis.call('HGET', holders, run)
  if holder then
    local of, its = turn_and_key(holder)
    redis.call('HSET', holders, run, math.max(of, turn) .. ':' .. its)
    return {'granted'}
  end
  if redis.call('HEXISTS', asks, run) == 1 then return {'queued'} end
  local waiting = redis.call('ZCARD', queue)
  local full = is_full()
  local no_start = not full and turn == 0 and starts_are_used_up()
  if waiting == 0 and not full and not no_start then
    place(run, turn, key, true)
    return {'granted'}
  end
  if turn == 0 and quota.refuses then
    if no_start then return {'no_start', whole(starts_used())} end
    return {'full', redis.call('HLEN', holders)}
  end
  if turn == 0 and waiting >= quota.max_waiting then return {'crowded', waiting} end
  queue_up(run, turn, key)
  return {'queued'}
end

-- ---- budgets. A part is set aside under KIND|PROCESS|NUMBER; one that counts as used ends in x.

local function forget_silent()
  local silent = redis.call('ZRANGEBYSCORE', alive, '-inf', whole(now - silence_ms))
  if #silent == 0 then return end
  local is_silent = {}
  for _, one in ipairs(silent) do
    is_silent[one] = true
    redis.call('ZREM', alive, one)
  end
  for _, field in ipairs(redis.call('HKEYS', parts)) do
    local kind, whose = string.match(field, '^(.-)|(.-)|')
    local amount = redis.call('HGET', parts, field)
    if is_silent[whose] and string.sub(amount, -1) ~= 'x' then
      redis.call('HINCRBY', budgets, kind .. ':aside', '-' .. amount)
      redis.call('HINCRBY', budgets, kind .. ':used', amount) -- it may have been
      redis.call('HSET', parts, field, amount .. 'x')
    end
  end
end

-- All or nothing. charges: a list of {kind, amount, limit, ms of the window}.
local function reserve(part, charges)
  if redis.call('HEXISTS', parts, charges[1][1] .. '|' .. part) == 1 then return {'granted'} end
  forget_silent()
  local takes, busy, tight = {}, nil, nil
  for _, charge in ipairs(charges) do
    local kind, need, limit, length = charge[1], charge[2], charge[3], charge[4]
    open_window(kind, length)
    local used = number_of(budgets, kind .. ':used')
    local aside = number_of(budgets, kind .. ':aside')
    local free = limit - used - aside
    if free - need < limit / 4 then tight = 'tight' end
    if free >= need then
      table.insert(takes, {kind, need})
    elseif aside > 0 then
      busy = busy or kind
    elseif free > 0 then -- the last call may go over it, and goes alone
      table.insert(takes, {kind, free})
    else
      return {'spent', kind, whole(used), whole(length - now % length)}
    end
  end
  if busy then return {'busy', busy} end
  for _, take in ipairs(takes) do
    redis.call('HINCRBY', budgets, take[1] .. ':aside', whole(take[2]))
    redis.call('HSET', parts, take[1] .. '|' .. part, whole(take[2]))
  end
  redis.call('ZADD', alive, whole(now), process)
  return {'granted', tight}
end

local function settle(part, kind, used, length)
  open_window(kind, length)
  local field = kind .. '|' .. part
  local value = redis.call('HGET', parts, field)
  if not value then return end -- settled before, or of a window that is over
  redis.call('HDEL', parts, field)
  local amount = string.match(value, '^%d+')
  if string.sub(value, -1) == 'x' then
    redis.call('HINCRBY', budgets, kind .. ':used', whole(used - tonumber(amount)))
  else
    redis.call('HINCRBY', budgets, kind .. ':aside', '-' .. amount)
    redis.call('HINCRBY', budgets, kind .. ':used', whole(used))
  end
end

-- ---- operations

local function is_known() -- who runs; where no runs are counted nobody has to know
  if quota.places == nil and quota.starts == nil then return true end
  return redis.call('HEXISTS', meta, 'known') == 1
end

local of = {}

function of.admit(told) -- run, turn, fair key
  if not is_known() then return {'unknown'} end
  local answer = admit(ARGV[8], tonumber(ARGV[9]), ARGV[10])
  give_out(told)
  return answer
end

-- What may come late and come twice: {settles = {{part, kind, used, ms}}, ends = {{run, turn?}}}.
function of.tell(told)
  local given = cjson.decode(ARGV[8])
  for _, one in ipairs(given.settles) do settle(one[1], one[2], one[3], one[4]) end
  if #given.ends == 0 then return {'taken'} end
  if not is_known() then return {'unknown'} end
  for _, one in ipairs(given.ends) do release(one[1], one[2]) end
  give_out(told)
  return {'taken'}
end

function of.reserve() -- part, charges as JSON
  return reserve(ARGV[8], cjson.decode(ARGV[9]))
end

function of.live()
  redis.call('ZADD', alive, 'XX', whole(now), process)
  return {'taken'}
end

function of.heard() -- run, turn: it was told of its place
  local value = redis.call('HGET', untold, ARGV[8])
  if value and string.match(value, '^%d+') == ARGV[9] then redis.call('HDEL', untold, ARGV[8]) end
  return {'taken'}
end

-- One process at a time looks after what nobody tells: the others are followers.
function of.sweep(told, old)
  if not is_known() then return {'unknown'} end
  local leader = redis.call('HGET', meta, 'leader')
  if leader and leader ~= process and number_of(meta, 'leads_until') > now then
    return {'follower', '-1'}
  end
  redis.call('HSET', meta, 'leader', process, 'leads_until', whole(now + LEAD_MS))
  local again = redis.call('HGETALL', untold)
  for i = 1, #again, 2 do
    local turn, at = string.match(again[i + 1], '^(%d+):(%d+)$')
    if now - tonumber(at) >= tell_again_ms then
      redis.call('HSET', untold, again[i], turn .. ':' .. whole(now))
      table.insert(told, again[i])
      table.insert(told, turn)
    end
  end
  give_out(told)
  if now - number_of(meta, 'swept') >= sweep_ms then
    redis.call('HSET', meta, 'swept', whole(now))
    for _, run in ipairs(redis.call('ZRANGEBYSCORE', since, '-inf', whole(now - sweep_ms))) do
      table.insert(old, run)
    end
  end
  local next_start = -1
  if quota.starts ~= nil and redis.call('ZCARD', queue) > 0 and not is_full() then
    next_start = quota.starts_ms - now % quota.starts_ms
  end
  return {'leader', whole(next_start)}
end

function of.resign()
  if redis.call('HGET', meta, 'leader') == process then redis.call('HDEL', meta, 'leader') end
  return {'taken'}
end

-- Redis has lost who runs, or never knew: one process finds out from Temporal.
function of.recover()
  if is_known() then return {'known'} end
  local other = redis.call('HGET', meta, 'recovering')
  if other and other ~= process and number_of(meta, 'recovers_until') > now then
    return {'wait'}
  end
  redis.call('HSET', meta, 'recovering', process, 'recovers_until', whole(now + RECOVER_MS))
  return {'go'}
end

function of.restore(told) -- {holders = {{run, turn, key}}, waiting = the same, in order}
  if is_known() then return {'known'} end
  local found = cjson.decode(ARGV[8])
  for _, one in ipairs(found.holders) do place(one[1], one[2], one[3], false) end
  for _, one in ipairs(found.waiting) do queue_up(one[1], one[2], one[3]) end
  redis.call('HSET', meta, 'known', 1)
  give_out(told)
  return {'known'}
end

function of.usage()
  if not is_known() then return {'unknown'} end
  local kinds = {}
  for _, one in ipairs(quota.budgets) do
    open_window(one[1], one[3])
    table.insert(kinds, {
      one[1], whole(number_of(budgets, one[1] .. ':used')),
      whole(number_of(budgets, one[1] .. ':aside')), whole(one[2]),
    })
  end
  local running = redis.call('ZRANGE', since, 0, -1)
  return {'usage', running, redis.call('ZCARD', queue), number_of(meta, 'most'), kinds}
end

local told, old = {}, {}
local answer = of[operation](told, old)
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[4]) end
return {answer, told, old}
