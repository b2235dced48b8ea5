package cache

// SyncEvery sets after how many bytes a download is synced. Call it before Run.
func (c *Cache) SyncEvery(n int64) { c.syncEvery = n }

// AddressKey is the key of what has no hash.
func AddressKey(url string) string { return addressKey(url) }
