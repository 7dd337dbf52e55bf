-- ARGV: 1 id, 2 row. Returns `gone`, the index of its chunk, or -1. Chunks stand in the order of their rows: halves do.
local batch = find(ARGV[1])
if not batch then return 'gone' end
local row = tonumber(ARGV[2])
local low, high = 0, batch.chunksReceived - 1
while low <= high do
  local middle = math.floor((low + high) / 2)
  local chunk = readChunk(batch.id, middle)
  if row < chunk.first then high = middle - 1
  elseif row >= chunk.first + chunk.rows then low = middle + 1
  else return middle end
end
return -1
