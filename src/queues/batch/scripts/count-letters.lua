-- Returns how many letters there are.
dropExpiredLetters()
return call('ZCARD', root .. ':letters')
