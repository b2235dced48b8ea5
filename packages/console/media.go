package main

func (c *console) mediaRoutes() []route {
	return []route{}
}
