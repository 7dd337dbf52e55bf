-- ARGV: 1 id, 2 the new batch as JSON, 3 owner, 4 pool, 5 retention in ms, 6 batches of the owner that
-- may be open at once, or ''. Returns nothing; how many are open where there may be no other. Repeating it is harmless.
local id, owner, pool, retentionMs = ARGV[1], ARGV[3], ARGV[4], tonumber(ARGV[5])
local key = root .. ':' .. id
if call('EXISTS', key) == 1 then return end
local openCount = call('SCARD', root .. ':open:' .. owner)
if ARGV[6] ~= '' and openCount >= tonumber(ARGV[6]) then return openCount end
call('HSET', key, 'batch', ARGV[2], 'owner', owner, 'pool', pool, 'retentionMs', retentionMs, 'status', 'queued',
  'paused', '0', 'rowsTotal', '', 'rowsReceived', 0, 'rowsSucceeded', 0, 'rowsFailed', 0, 'rowsRetryable', 0,
  'chunksReceived', 0, 'chunksDone', 0, 'createdAtMs', now, 'startedAtMs', '', 'finishedAtMs', '', 'expiresAtMs', '',
  'failure', '', 'redisBytes', 0, 'revision', 0)
for _, list in ipairs({ root .. ':list', root .. ':list:' .. owner }) do
  call('ZADD', list, 0, id)
  keep(list, openMsMax)
end
call('SADD', root .. ':open:' .. owner, id)
call('HINCRBY', root .. ':pools', pool, 1)
local batch = find(id)
renewLease(batch)
changed(batch)
