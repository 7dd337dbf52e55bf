-- Stands in front of every script of the ledger, after the constants of ledger-scripts.ts.
--
-- KEYS[1]: root of all keys, `{prefix}:batch`. Which batches, owners and pools a script touches it learns as it runs;
-- all their keys begin with the root, so by its hash tag they share its slot. docs/protocol.md lists them.
-- All times are those of this Redis, in ms.

local root = KEYS[1]
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- What lives as long as the batch.
local parts = { 'chunks', 'waiting', 'lane', 'inputs', 'results' }
local isFinal = { completed = true, failed = true, cancelled = true }
local leadsTo = {
  queued = { running = true, completed = true, failed = true, cancelled = true },
  running = { completed = true, failed = true, cancelled = true },
}

local function ofBatch(id, part) return root .. ':' .. id .. ':' .. part end
local function ofPool(pool, part) return root .. ':pool:' .. pool .. ':' .. part end
local function readyOf(pool, owner) return ofPool(pool, 'ready:' .. owner) end

-- Lengthens a key's life, never shortens it. Within the slack it is left alone: most calls write nothing.
local function keep(key, ms)
  if call('PTTL', key) < ms - ttlSlackMs then call('PEXPIRE', key, ms) end
end

-- What scripts decide on; nil for a batch that never was or has expired.
local function find(id)
  local key = root .. ':' .. id
  local value = call('HMGET', key, 'status', 'paused', 'owner', 'pool', 'rowsTotal', 'chunksReceived', 'chunksDone',
    'expiresAtMs', 'retentionMs', 'rowsRetryable')
  if not value[1] then return nil end
  if value[8] ~= '' and tonumber(value[8]) <= now then return nil end
  return {
    id = id, key = key, status = value[1], paused = value[2] == '1', owner = value[3], pool = value[4],
    sealed = value[5] ~= '', chunksReceived = tonumber(value[6]), chunksDone = tonumber(value[7]),
    retentionMs = tonumber(value[9]), rowsRetryable = tonumber(value[10]),
  }
end

-- The only place that sets a status. Nothing leads out of a final one.
local function setStatus(batch, status)
  if not (leadsTo[batch.status] and leadsTo[batch.status][status]) then
    error('a batch does not go from ' .. batch.status .. ' to ' .. status)
  end
  batch.status = status
  call('HSET', batch.key, 'status', status)
end

-- Last in every script that changed a batch: whoever hears of it finds the change.
local function changed(batch)
  call('PUBLISH', batch.key, call('HINCRBY', batch.key, 'revision', 1))
end

local function readChunk(id, index)
  local text = call('HGET', ofBatch(id, 'chunks'), index)
  return text and cjson.decode(text)
end

local function writeChunk(id, index, chunk)
  call('HSET', ofBatch(id, 'chunks'), index, cjson.encode(chunk))
end

-- Whose turn it is: the entry with the lowest number, and who had it gets the next one.
local function nextTurn(pool)
  local key = ofPool(pool, 'turn')
  local turn = call('INCR', key)
  keep(key, openMsMax)
  return turn
end

-- An owner stands in the pool's line while one of its batches has a chunk to give and its window may have room.
local function lineUp(pool, owner)
  local ready = ofPool(pool, 'ready')
  if call('EXISTS', readyOf(pool, owner)) == 1 then
    if not call('ZSCORE', ready, owner) then call('ZADD', ready, nextTurn(pool), owner) end
    keep(ready, openMsMax)
  else
    call('ZREM', ready, owner)
  end
end

-- Puts the batch into its owner's line, or takes it out, as its chunks, its pause and its status say.
local function place(batch)
  local key = readyOf(batch.pool, batch.owner)
  if not batch.paused and not isFinal[batch.status] and call('EXISTS', ofBatch(batch.id, 'waiting')) == 1 then
    if not call('ZSCORE', key, batch.id) then call('ZADD', key, nextTurn(batch.pool), batch.id) end
    keep(key, openMsMax)
  else
    call('ZREM', key, batch.id)
  end
  lineUp(batch.pool, batch.owner)
end

-- The owner at the end, which may hold any character: what is left of a lost batch can be put right without it.
local function laneMember(batch, index) return batch.id .. '.' .. index .. '.' .. batch.owner end

local function enterLane(batch, index)
  local lane, counts = ofPool(batch.pool, 'lane'), ofPool(batch.pool, 'counts')
  if call('ZADD', lane, now, laneMember(batch, index)) == 1 then call('HINCRBY', counts, batch.owner, 1) end
  call('SADD', ofBatch(batch.id, 'lane'), index)
  keep(lane, openMsMax)
  keep(counts, openMsMax)
  keep(ofBatch(batch.id, 'lane'), openMsMax)
end

-- Makes room in the owner's window, so the owner may be in the line again.
local function dropMember(pool, owner, member)
  if call('ZREM', ofPool(pool, 'lane'), member) == 0 then return end
  local counts = ofPool(pool, 'counts')
  if call('HINCRBY', counts, owner, -1) <= 0 then call('HDEL', counts, owner) end
  lineUp(pool, owner)
end

local function leaveLane(batch, index)
  call('SREM', ofBatch(batch.id, 'lane'), index)
  dropMember(batch.pool, batch.owner, laneMember(batch, index))
end

-- No `:` in an id or a pool.
local function leaseMember(batch) return batch.id .. ':' .. batch.pool .. ':' .. batch.owner end

-- Lengthens the lives of the batch's keys: its lease and the sweeper's time to end it in order.
local function keepKeys(batch)
  local ttl = (batch.sealed and idleMsMax or uploadLeaseMs) + graceMs
  keep(batch.key, ttl)
  for _, part in ipairs(parts) do keep(ofBatch(batch.id, part), ttl) end
  keep(ofBatch(batch.id, 'digests'), ttl + digestsKeptMs)
end

-- An upload has its lease from now, a batch that is complete the time that it may stand still.
local function renewLease(batch)
  call('ZADD', root .. ':leases', now + (batch.sealed and idleMsMax or uploadLeaseMs), leaseMember(batch))
  for _, key in ipairs({ ':pools', ':open:' .. batch.owner, ':list', ':list:' .. batch.owner }) do
    keep(root .. key, openMsMax)
  end
  keep(root .. ':leases', openMsMax + digestsKeptMs)
  keepKeys(batch)
end

-- Work got on. That keeps no upload open: only what arrives does.
local function workedOn(batch)
  if batch.sealed then renewLease(batch) else keepKeys(batch) end
end

local function closeLease(id, pool, owner)
  if call('ZREM', root .. ':leases', id .. ':' .. pool .. ':' .. owner) == 0 then return end
  call('SREM', root .. ':open:' .. owner, id)
  if call('HINCRBY', root .. ':pools', pool, -1) <= 0 then call('HDEL', root .. ':pools', pool) end
end

-- Takes the batch to a final status and all that waits for it out of every line. `failure`: JSON or ''.
local function finish(batch, status, failure)
  -- First what takes no memory: a Redis that is full refuses a script only its first write. An end makes room.
  closeLease(batch.id, batch.pool, batch.owner)
  setStatus(batch, status)
  local expiresAt = now + batch.retentionMs
  call('HSET', batch.key, 'paused', '0', 'finishedAtMs', now, 'expiresAtMs', expiresAt, 'failure', failure)
  batch.paused = false
  call('UNLINK', ofBatch(batch.id, 'waiting'))
  for _, index in ipairs(call('SMEMBERS', ofBatch(batch.id, 'lane'))) do leaveLane(batch, index) end
  place(batch)
  -- What never ran is not run again: only failed rows are.
  if batch.rowsRetryable == 0 then call('UNLINK', ofBatch(batch.id, 'inputs')) end
  call('ZADD', root .. ':expiring', expiresAt, batch.id .. ':' .. batch.owner)
  call('ZADD', root .. ':endings', now, batch.id)
  call('SET', ofBatch(batch.id, 'ended'), '', 'PX', batch.retentionMs + nameKeptMs)
  call('PEXPIREAT', batch.key, expiresAt + graceMs)
  for _, part in ipairs(parts) do call('PEXPIREAT', ofBatch(batch.id, part), expiresAt + graceMs) end
  call('PEXPIREAT', ofBatch(batch.id, 'digests'), expiresAt + graceMs + digestsKeptMs)
  for _, key in ipairs({ ':endings', ':list', ':list:' .. batch.owner }) do
    keep(root .. key, batch.retentionMs + graceMs)
  end
  keep(root .. ':expiring', batch.retentionMs + graceMs + digestsKeptMs)
  call('PUBLISH', root .. ':endings', batch.id)
end

-- Takes all that is left of a batch away. Its list of digests becomes a list of garbage, whole.
local function forget(id, owner)
  if call('EXISTS', ofBatch(id, 'digests')) == 1 then
    call('RENAME', ofBatch(id, 'digests'), root .. ':garbage:' .. id)
    call('PEXPIRE', root .. ':garbage:' .. id, digestsKeptMs)
    call('ZADD', root .. ':garbage', now, id)
    keep(root .. ':garbage', digestsKeptMs)
  end
  call('UNLINK', root .. ':' .. id)
  for _, part in ipairs(parts) do call('UNLINK', ofBatch(id, part)) end
  for _, list in ipairs({ ':list', ':list:' .. owner, ':endings' }) do call('ZREM', root .. list, id) end
end

-- The chunk is done. Its result is in `chunk.result`, its bytes where that says.
local function settleChunk(batch, index, chunk, succeeded, failed, retryable)
  chunk.failed, chunk.retryable = failed, retryable
  writeChunk(batch.id, index, chunk)
  batch.chunksDone = call('HINCRBY', batch.key, 'chunksDone', 1)
  call('HINCRBY', batch.key, 'rowsSucceeded', succeeded)
  call('HINCRBY', batch.key, 'rowsFailed', failed)
  batch.rowsRetryable = call('HINCRBY', batch.key, 'rowsRetryable', retryable)
end

local function storeBytes(batch, part, index, bytes)
  call('HSET', ofBatch(batch.id, part), index, bytes)
  call('HINCRBY', batch.key, 'redisBytes', #bytes)
end

local function dropInput(batch, index, chunk)
  local inputs = ofBatch(batch.id, 'inputs')
  if chunk.input == 'redis' then
    call('HINCRBY', batch.key, 'redisBytes', -call('HSTRLEN', inputs, index))
    call('HDEL', inputs, index)
  end
  chunk.input = nil
end

local function finishIfDone(batch)
  if batch.sealed and batch.chunksDone == batch.chunksReceived then finish(batch, 'completed', '') end
end

local function dropLetter(id)
  local letter = root .. ':letter:' .. id
  local row = call('HGET', letter, 'row')
  if row then call('DEL', row) end
  call('DEL', letter)
  call('ZREM', root .. ':letters', id)
end

-- All live equally long, so those that have expired are the first in their line.
local function dropExpiredLetters()
  for _, id in ipairs(call('ZRANGE', root .. ':letters', 0, 99)) do
    if call('EXISTS', root .. ':letter:' .. id) == 1 then return end
    call('ZREM', root .. ':letters', id)
  end
end
