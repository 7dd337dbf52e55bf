-- ARGV: 1 id, 2 index. Returns `gone`, `final`, `done`, `paused`, or the record, where the input is, the chunk's rows and
-- the bytes of the batch in Redis.
local id, index = ARGV[1], ARGV[2]
local batch = find(id)
local chunk = batch and readChunk(id, index)
if not chunk then return 'gone' end
if isFinal[batch.status] then return 'final' end
if chunk.result then return 'done' end
if batch.paused then
  call('ZADD', ofBatch(id, 'waiting'), index, index)
  leaveLane(batch, index)
  workedOn(batch)
  return 'paused'
end
-- It is in the lane whatever the ledger knew of that: Redis may have come back without its last moments.
if call('ZREM', ofBatch(id, 'waiting'), index) == 1 then
  place(batch)
  enterLane(batch, index)
end
if batch.status == 'queued' then
  setStatus(batch, 'running')
  call('HSET', batch.key, 'startedAtMs', now)
  changed(batch)
end
return { call('HGETALL', batch.key), chunk.input, chunk.rows, tonumber(call('HGET', batch.key, 'redisBytes')) }
