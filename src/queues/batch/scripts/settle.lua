-- ARGV: 1 id, 2 index, 3 where the result is (`redis` or a digest), 4 its bytes for Redis, 5 rows that succeeded,
-- 6 rows that failed, 7 those of them that can run again. Returns `settled`, `duplicate`, `final`, `gone` or `mismatch`.
local id, index = ARGV[1], ARGV[2]
local batch = find(id)
local chunk = batch and readChunk(id, index)
if not chunk then return 'gone' end
if chunk.result then return 'duplicate' end
if isFinal[batch.status] then return 'final' end
local succeeded, failed, retryable = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if succeeded + failed ~= chunk.rows or retryable > failed then return 'mismatch' end
-- First what takes no memory: a Redis that is full refuses a script only its first write. What was accepted can end.
leaveLane(batch, index)
if call('ZREM', ofBatch(id, 'waiting'), index) == 1 then place(batch) end
if batch.status == 'queued' then
  setStatus(batch, 'running')
  call('HSET', batch.key, 'startedAtMs', now)
end
chunk.result = ARGV[3]
if chunk.result == 'redis' then storeBytes(batch, 'results', index, ARGV[4]) end
if retryable == 0 then dropInput(batch, index, chunk) end
settleChunk(batch, index, chunk, succeeded, failed, retryable)
workedOn(batch)
finishIfDone(batch)
changed(batch)
return 'settled'
