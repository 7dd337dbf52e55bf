-- ARGV: 1 id, 2 index of the first, 3 how many. Returns `gone` or the chunks as JSON, up to the first that is not there.
local batch = find(ARGV[1])
if not batch then return 'gone' end
local from = tonumber(ARGV[2])
local to = math.min(from + tonumber(ARGV[3]), batch.chunksReceived) - 1
local found = {}
for index = from, to do table.insert(found, call('HGET', ofBatch(batch.id, 'chunks'), index)) end
return found
