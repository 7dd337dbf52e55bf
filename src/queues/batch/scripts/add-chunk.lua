-- ARGV: 1 id, 2 index, 3 first row, 4 row count, 5 refused rows, 6 where the input is (`redis` or a digest),
-- 7 its bytes for Redis, 8 where the result is, or '' for a chunk that is to be run, 9 its bytes for Redis.
-- Returns `added`, `repeated`, `gap`, `sealed`, `final` or `gone`.
local id, index = ARGV[1], tonumber(ARGV[2])
local batch = find(id)
if not batch then return 'gone' end
if isFinal[batch.status] then return 'final' end
if index < batch.chunksReceived then return 'repeated' end
if batch.sealed then return 'sealed' end
if index > batch.chunksReceived then return 'gap' end
local rowCount, refused = tonumber(ARGV[4]), tonumber(ARGV[5])
local chunk = { first = tonumber(ARGV[3]), rows = rowCount, input = ARGV[6] }
batch.chunksReceived = call('HINCRBY', batch.key, 'chunksReceived', 1)
call('HINCRBY', batch.key, 'rowsReceived', rowCount)
if ARGV[8] == '' then
  if chunk.input == 'redis' then storeBytes(batch, 'inputs', index, ARGV[7]) end
  writeChunk(id, index, chunk)
  call('ZADD', ofBatch(id, 'waiting'), index, index)
  place(batch)
else
  -- Nothing in it can run, so nobody needs the input.
  chunk.input, chunk.result = nil, ARGV[8]
  if chunk.result == 'redis' then storeBytes(batch, 'results', index, ARGV[9]) end
  settleChunk(batch, index, chunk, 0, refused, 0)
end
renewLease(batch)
changed(batch)
return 'added'
