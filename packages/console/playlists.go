package main

func (c *console) playlistRoutes() []route {
	return []route{}
}
