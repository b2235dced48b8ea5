package cache

// SyncEvery sets after how many bytes a download is synced. Call it before Run.
func (c *Cache) SyncEvery(n int64) { c.syncEvery = n }
