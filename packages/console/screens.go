package main

func (c *console) screenRoutes() []route {
	return []route{}
}
