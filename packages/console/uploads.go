package main

func (c *console) uploadRoutes() []route {
	return []route{}
}
